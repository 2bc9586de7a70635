// Floating emoji on one canvas, posed by the stylesheet's own animation.
//
// The pages put no element per reaction into the document: one canvas is laid over a container,
// and a sprite is an entry of a fixed row. How a sprite moves is not written here: motion.js samples
// it from the stylesheet's classes, so that the page follows whatever stylesheet it is given. Where
// a sprite starts is `scatter`, the hash that the renderer uses too, so every page and every
// rendered frame shows the same picture.

import { Motions, SHARE_MAX, newPose, scaleOf, className } from './motion.js';
import { FrameBudget, Glyph, Picture } from './raster.js';
import { readRules } from './rules.js';
import { Batches, shown } from './stage.js';

/** The lane of the sprite's horizontal start; {@link laneOf} gives those of variables. */
export const LANE_LEFT = 0;

const TWO_POW_32 = 2 ** 32;

/**
 * The 32-bit placement hash of one sprite.
 *
 * Folds the low 32 bits of [page, page >> 32, sequence, sequence >> 32, index, lane] with the
 * `lowbias32` finaliser (Chris Wellons, "Prospecting for Hash Functions", 2018), modulo 2^32.
 *
 * @param {number} page the topic's incarnation, an integer in 0 ..= 2^53 - 1
 * @param {number} sequence the item's number on its page, an integer in 0 ..= 2^53 - 1
 * @param {number} index the sprite's number within the item, 0 ..= 2^32 - 1
 * @param {number} lane which of the sprite's random values is wanted
 * @returns {number} an integer in 0 ..= 2^32 - 1
 */
export function scatter(page, sequence, index, lane) {
  let h = 0;
  // `>>> 0` takes a Number modulo 2^32, exact for integers below 2^53.
  h = fold(h, page >>> 0);
  h = fold(h, Math.floor(page / TWO_POW_32) >>> 0);
  h = fold(h, sequence >>> 0);
  h = fold(h, Math.floor(sequence / TWO_POW_32) >>> 0);
  h = fold(h, index >>> 0);
  return fold(h, lane >>> 0);
}

/**
 * The sprite's CSS `left` in px. One font size is kept free at the right, as in the tutorial.
 *
 * @param {number} hash from {@link scatter} on LANE_LEFT
 */
export function leftPx(hash, widthPx, fontSizePx) {
  return (hash / TWO_POW_32) * Math.max(0, widthPx - fontSizePx);
}

/**
 * The lane of a variable of the stylesheet; never LANE_LEFT.
 *
 * @param {string} name without the leading dashes
 */
export function laneOf(name) {
  let lane = 0;
  for (const byte of new TextEncoder().encode(name)) lane = fold(lane, byte);
  return lane || 1;
}

/**
 * How far a variable is from the beginning of its range to the end: one of 64 values in 0 ..= 1.
 *
 * @param {number} hash from {@link scatter} on the variable's lane
 */
export function share(hash) {
  return (hash >>> SHARE_SHIFT) / SHARE_MAX;
}

/** The share's bits are the upper ones of 32. */
const SHARE_SHIFT = 26;

function fold(h, word) {
  let x = (h ^ word) + 0x9e3779b9;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** What sprites look like is kept for so many emoji; the one made first goes when a new one comes. */
const LOOKS_MAX = 256;
/** Pictures of its own for so many reactions; the others are their emoji. */
const PICTURES_MAX = 64;
/** Sampling motions takes at most about so long in one frame; the rest comes in the next ones. */
const SAMPLING_MS_MAX = 40;
/** A sprite whose time lies so little after the frame's is drawn at its first age: a message's time can. */
const EARLY_MS = 17;
/** Layout is in so many parts of a pixel. */
const LAYOUT_PARTS = 64;

/** A layer of sprites over one positioned container, which it follows in size. */
export class SpriteLayer {
  /** Resolves when the stylesheet's font is there and sprites can be drawn as they should be. */
  ready;

  #container;
  #canvas;
  #context;
  #host;
  #ruler;
  #marker;
  #scale;
  #motions;
  #ranges = [];
  /** The reactions that the stylesheet names. */
  #named = new Set();
  /** What each emoji is in the palette, without its presentation selector: {class, picture}. */
  #reactions = new Map();
  #pictures = new Map();
  #budget = new FrameBudget();
  #looks = new Map();
  #warned = new Set();
  #pose = newPose();
  #frame = 0;

  // The sprites in the order of their spawning, which is the order of drawing: the first #live
  // entries from #head on, which wrap.
  #max;
  #spreadMs;
  #batches = new Batches();
  #emoji;
  #page;
  #sequence;
  #index;
  #hash;
  #bornMs;
  /** What a sprite looks like and how it moves; undefined until it is drawn, and after a change of style. */
  #look;
  #motion;
  #head = 0;
  #live = 0;

  /**
   * @param {HTMLElement} container positioned (CSS `position` other than static)
   * @param {{max?: number, spreadMs?: number}} options `max`: live sprites at most; the oldest is
   *   retired for a new one. `spreadMs`: over how long the sprites of one item come on at most
   * @throws {Error} when the stylesheet gives `.animated-emoji` no animation
   */
  constructor(container, { max = 1000, spreadMs = 1000 } = {}) {
    if (!Number.isSafeInteger(max) || max < 1) throw new Error(`max is ${max}; want an integer of 1 or more`);
    this.#container = container;
    this.#max = max;
    this.#spreadMs = spreadMs;
    this.#emoji = new Array(max).fill('');
    this.#page = new Float64Array(max);
    this.#sequence = new Float64Array(max);
    this.#index = new Uint32Array(max);
    this.#hash = new Uint32Array(max);
    this.#bornMs = new Float64Array(max);
    this.#look = new Array(max).fill(undefined);
    this.#motion = new Array(max).fill(undefined);
    this.#build();
    this.#readRules();
    const box = this.#canvas.getBoundingClientRect();
    this.#resize(devicePixels(box.width), devicePixels(box.height));
    const { fontFamily, fontSize } = getComputedStyle(this.#ruler);
    // A font that can't be loaded leaves the next family of the list: still an emoji.
    this.ready = document.fonts.load(`${fontSize} ${fontFamily}`, '❤').catch((e) => console.warn('floatup: font:', e))
      .then(() => {
        this.#restyle();
        this.#motions.warmUp(this.#motions.kind('', undefined));
      });
  }

  /** How many sprites are in flight. */
  get live() {
    return this.#live;
  }

  /**
   * Learns the reactions' classes and pictures. Sprites of an emoji that no entry has are plain.
   *
   * @param {{emoji: string, class: string, image?: string}[]} entries what /palette.json gives; of
   *   several with one emoji the first counts
   * @param {URL} service what an `image` is relative to
   * @returns {Promise<void>} resolves when the pictures are there, as far as they can be had
   */
  async usePalette(entries, service) {
    const reactions = new Map();
    const pictures = new Map();
    for (const { emoji, class: name, image } of entries) {
      if (reactions.has(plain(emoji))) continue;
      let picture;
      if (typeof image === 'string' && pictures.size < PICTURES_MAX) {
        const url = new URL(image.replace(/^\/+/, ''), service);
        picture = this.#pictures.get(url.href) ?? new Picture(url, this.#budget);
        pictures.set(url.href, picture);
      }
      reactions.set(plain(emoji), { name: String(name ?? ''), picture });
    }
    const isSame = sameReactions(reactions, this.#reactions);
    this.#reactions = reactions;
    const added = [...pictures].filter(([url]) => !this.#pictures.has(url)).map(([, picture]) => picture);
    // Where the stylesheet names no reaction and none has a picture, there is nothing to see of it.
    const isSeen = this.#named.size + pictures.size + this.#pictures.size > 0;
    this.#pictures = pictures;
    if (!isSame && isSeen) this.#lookAnew();
    await Promise.all(added.map((picture) => picture.load()));
    if (added.length > 0) {
      this.#lookAnew();
      const scale = this.#scale;
      for (const [emoji, { picture }] of reactions) if (added.includes(picture) && scale > 0) this.#lookOf(emoji);
      await Promise.all(added.map((picture) => picture.ready));
    }
  }

  /**
   * Spawns the sprites of one topic item. Of many reactions fewer are shown; the first of each emoji
   * comes on at once, the others until the next such item is to be expected.
   *
   * @param {{page: number, sequence: number, reactions: {emoji: string, count: number}[]}} item
   * @param {number} nowMs when, on the clock of `performance.now()`
   */
  spawn({ page, sequence, reactions }, nowMs = performance.now()) {
    const counts = reactions.map(({ emoji, count }) => ({ emoji, count: shown(count) }));
    const isBatch = counts.some(({ count }) => count > 1);
    const intervalMs = isBatch ? this.#batches.intervalMs(nowMs, this.#spreadMs) : 0;
    let index = 0;
    for (const { emoji, count } of counts) {
      for (let n = 0; n < count; n++, index++) {
        const slot = (this.#head + this.#live) % this.#max;
        if (this.#live === this.#max) this.#head = (this.#head + 1) % this.#max;
        else this.#live++;
        this.#emoji[slot] = emoji;
        this.#page[slot] = page;
        this.#sequence[slot] = sequence;
        this.#index[slot] = index;
        this.#hash[slot] = scatter(page, sequence, index, LANE_LEFT);
        this.#bornMs[slot] = nowMs + (intervalMs * n) / count;
        this.#look[slot] = this.#motion[slot] = undefined;
      }
    }
    this.#wake();
  }

  /**
   * Takes off the sprites of items that have been taken back.
   *
   * @param {{page: number, sequences: number[]}} items
   */
  retract({ page, sequences }) {
    const gone = new Set(sequences);
    for (let i = 0; i < this.#live; i++) {
      const slot = (this.#head + i) % this.#max;
      // Older than any lifetime: the next frame is without it.
      if (this.#page[slot] === page && gone.has(this.#sequence[slot])) this.#bornMs[slot] = -Infinity;
    }
    this.#wake();
  }

  /**
   * Draws the layer as it is at `nowMs`. The layer calls this itself while sprites are in flight.
   *
   * @returns {number} how many sprites are in flight, or yet to come on
   */
  draw(nowMs) {
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#motions.deadline = performance.now() + SAMPLING_MS_MAX;
    this.#prepareMotions();
    const widthPx = this.#container.clientWidth;
    const live = this.#live;
    let kept = 0;
    for (let i = 0; i < live; i++) {
      const slot = (this.#head + i) % this.#max;
      const earlyMs = this.#bornMs[slot] - nowMs;
      if (earlyMs > EARLY_MS) {
        this.#move(slot, (this.#head + kept++) % this.#max);
        continue;
      }
      const ageMs = Math.max(0, -earlyMs);
      const motion = this.#motionOf(slot);
      if (!(ageMs < motion?.lifeMs)) continue;
      this.#move(slot, (this.#head + kept++) % this.#max);
      motion.pose(ageMs, this.#pose);
      const look = this.#look[slot];
      this.#drawOne(look, ageMs, leftPx(this.#hash[slot], widthPx, look.kind.fontSizePx), this.#pose);
    }
    this.#live = kept;
    return kept;
  }

  /** The box sits on whole device pixels and only the transform is finer: so browsers paint it. */
  #drawOne({ kind, glyph, picture, width, height }, ageMs, ownLeft, [x, y, opacity, a, b, c, d, e, f]) {
    const scale = this.#scale;
    const context = this.#context;
    const left = layout((kind.x === 'auto' ? ownLeft : x) * scale);
    const whole = this.#canvas;
    const boxX = Math.floor((kind.x === 'right' ? whole.width - width - left : left) + 0.5);
    const bottom = layout(y * scale);
    const boxY = Math.floor((kind.y === 'top' ? bottom : whole.height - height - bottom) + 0.5);
    context.setTransform(a, b, c, d, boxX + width / 2 + e * scale, boxY + height / 2 + f * scale);
    context.globalAlpha = opacity;
    if (picture === undefined) {
      glyph.draw(context, scaleOf(a, b, c, d));
    } else {
      const frame = picture.at(ageMs);
      if (frame !== undefined) context.drawImage(frame, -width / 2, -height / 2, width, height);
    }
  }

  /** Takes a sprite to the place of one that is gone. */
  #move(from, to) {
    if (from === to) return;
    for (const values of [this.#emoji, this.#page, this.#sequence, this.#index, this.#hash, this.#bornMs, this.#look, this.#motion]) {
      values[to] = values[from];
    }
  }

  /** Has the motions sampled that new sprites need, all at once. */
  #prepareMotions() {
    const wanted = new Map();
    for (let i = 0; i < this.#live; i++) {
      const slot = (this.#head + i) % this.#max;
      if (this.#motion[slot] !== undefined && !this.#motion[slot].rough) continue;
      const { kind } = this.#lookOf(this.#emoji[slot]);
      if (!wanted.has(kind)) wanted.set(kind, []);
      wanted.get(kind).push(this.#sharesOf(slot));
    }
    for (const [kind, all] of wanted) this.#motions.prepare(kind, all);
  }

  #sharesOf(slot) {
    return this.#ranges.map(({ lane }) => scatter(this.#page[slot], this.#sequence[slot], this.#index[slot], lane) >>> SHARE_SHIFT);
  }

  #motionOf(slot) {
    const kept = this.#motion[slot];
    if (kept !== undefined && !(kept.rough && performance.now() < this.#motions.deadline)) return kept;
    const look = this.#lookOf(this.#emoji[slot]);
    const motion = this.#motions.of(look.kind, this.#sharesOf(slot));
    if (motion === undefined) this.#warn(`the stylesheet gives .${look.kind.className.replace(' ', '.')} no animation with a duration`);
    if (!(kept?.rough && motion?.rough)) this.#motion[slot] = motion;
    this.#look[slot] = look;
    return this.#motion[slot];
  }

  /** What an emoji's sprites look like, in device pixels, and what they have in common. */
  #lookOf(emoji) {
    const kept = this.#looks.get(emoji);
    if (kept !== undefined) return kept;
    if (this.#looks.size >= LOOKS_MAX) this.#looks.delete(this.#looks.keys().next().value);
    const { name = '', picture } = this.#reactions.get(plain(emoji)) ?? {};
    const reaction = this.#named.has(name) ? name : '';
    this.#ruler.className = className(reaction);
    const scale = this.#scale;
    let look;
    if (picture?.aspect > 0) {
      this.#ruler.replaceChildren('❤️', this.#marker);
      const { width, height } = picture.size(this.#ruler.getBoundingClientRect().height * scale);
      const kind = this.#motions.kind(reaction, { width: width / scale, height: height / scale });
      // The middle of all ranges tells how large it gets.
      this.#motions.of(kind, this.#ranges.map(() => SHARE_MAX >> 1));
      picture.prepare(Math.round(width * kind.scaleMax), Math.round(height * kind.scaleMax));
      look = { kind, picture, width, height };
    } else {
      const glyph = new Glyph(emoji, { ruler: this.#ruler, marker: this.#marker, scale });
      look = { kind: this.#motions.kind(reaction, undefined), glyph, width: glyph.width, height: glyph.height };
    }
    this.#looks.set(emoji, look);
    return look;
  }

  #wake() {
    if (this.#frame === 0 && this.#live > 0) this.#frame = requestAnimationFrame(this.#tick);
  }

  #tick = (nowMs) => {
    this.#frame = 0;
    this.draw(nowMs);
    this.#wake();
  };

  #build() {
    const hidden = element('div', { position: 'absolute', inset: '0', overflow: 'hidden', visibility: 'hidden', pointerEvents: 'none' });
    hidden.setAttribute('aria-hidden', 'true');
    this.#host = element('div', {});
    this.#ruler = element('div', { inset: '0 auto auto 0', whiteSpace: 'nowrap' });
    this.#ruler.style.setProperty('animation', 'none', 'important');
    this.#ruler.style.setProperty('transform', 'none', 'important');
    this.#ruler.className = className('');
    this.#marker = element('span', { display: 'inline-block', width: '0', height: '0' });
    this.#ruler.append(this.#marker);
    hidden.append(this.#ruler, this.#host);
    this.#canvas = element('canvas', { position: 'absolute', inset: '0', width: '100%', height: '100%', pointerEvents: 'none' });
    this.#canvas.setAttribute('aria-hidden', 'true');
    this.#context = this.#canvas.getContext('2d');
    this.#container.append(hidden, this.#canvas);

    const observer = new ResizeObserver(([{ devicePixelContentBoxSize: [size] = [], contentRect }]) => {
      this.#resize(devicePixels(contentRect.width, size?.inlineSize), devicePixels(contentRect.height, size?.blockSize));
    });
    try {
      observer.observe(this.#canvas, { box: 'device-pixel-content-box' });
    } catch {
      // Safari knows the content box alone.
      observer.observe(this.#canvas);
    }
    // OBS puts a source's "Custom CSS" into the head after the page has loaded.
    new MutationObserver(() => {
      this.#readRules();
      this.#restyle();
    }).observe(document.head, { childList: true });
  }

  #readRules() {
    const { ranges, reactions } = readRules(document, (message) => this.#warn(message));
    this.#ranges = ranges.map(({ name, lane, at }) => ({ name, at, lane: laneOf(lane) }));
    this.#named = reactions;
  }

  #warn(message) {
    if (this.#warned.has(message)) return;
    if (this.#warned.size < LOOKS_MAX) this.#warned.add(message);
    console.warn(`floatup: ${message}`);
  }

  #resize(width, height) {
    // What has been taken out of the page has no style.
    if (!this.#canvas.isConnected) return;
    const isSame = this.#canvas.width === width && this.#canvas.height === height && this.#scale === devicePixelRatio;
    if (isSame) return;
    // Setting a canvas's size, even to the same, clears it.
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.#restyle();
  }

  /** Takes the motion and the font anew: the stylesheet, the container or the screen changed. */
  #restyle() {
    this.#scale = devicePixelRatio;
    this.#motions = new Motions(this.#host, this.#ranges);
    this.#lookAnew();
  }

  /** Forgets what sprites look like and how they move. */
  #lookAnew() {
    this.#looks.clear();
    this.#look.fill(undefined);
    this.#motion.fill(undefined);
    if (this.#live > 0) this.draw(performance.now());
  }
}

function sameReactions(one, other) {
  if (one.size !== other.size) return false;
  for (const [emoji, { name, picture }] of one) {
    const its = other.get(emoji);
    if (its?.name !== name || its.picture !== picture) return false;
  }
  return true;
}

/** As Blink lays boxes out. */
function layout(px) {
  return Math.trunc(px * LAYOUT_PARTS) / LAYOUT_PARTS;
}

/** The emoji presentation selector doesn't count: `❤` is `❤️`. */
function plain(emoji) {
  return emoji.replaceAll('\u{fe0f}', '');
}

/** A length in whole device pixels: as `observed`, unless that is of a ratio that is merely emulated. */
function devicePixels(px, observed) {
  const wanted = px * devicePixelRatio;
  return Math.abs(wanted - observed) <= 1 ? observed : Math.round(wanted);
}

function element(name, style) {
  const made = document.createElement(name);
  Object.assign(made.style, style);
  return made;
}
