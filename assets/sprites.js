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
import { Signs } from './signs.js';
import { Stage } from './stage.js';

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

/** Of a sprite's box: how high the digits are that are written over its corner. */
const DIGIT_SHARE = 0.4;
/** Of the picture: how wide a row of counts is at most, and how far above the bottom edge it ends. */
const ROW_WIDTH_SHARE = 0.9;
const ROW_BOTTOM_SHARE = 0.05;
/** Of the box's height in a row: how high the digits are, and how wide the place for them. */
const ROW_DIGIT_SHARE = 0.5;
const ROW_NUMBER_SHARE = 2.8;
/** Of the digits' height: the room between a figure and its number. */
const ROW_GAP = 0.3;

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

  #signs = new Signs();
  #stage = new Stage({
    measure: ({ emoji }) => {
      const { kind, width, height } = this.#lookOf(emoji);
      // A life that varies is known once the sprite is drawn.
      const lifeMs = this.#ranges.length > 0 ? Infinity : kind.lifeMs;
      return { lifeMs: kind.lifeMs > 0 ? lifeMs : 0, area: width * height };
    },
    frameArea: () => this.#canvas.width * this.#canvas.height,
  });

  /**
   * @param {HTMLElement} container positioned (CSS `position` other than static)
   * @throws {Error} when the stylesheet gives `.animated-emoji` no animation
   */
  constructor(container) {
    this.#container = container;
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

  /** How many sprites are in flight, or yet to come on. */
  get live() {
    return this.#stage.sprites.length;
  }

  /**
   * Sets bounds of what is shown; see {@link LIMITS} of stage.js. What is missing stays as it is.
   *
   * @param {object} limits
   */
  setLimits(limits, nowMs = performance.now()) {
    this.#stage.setLimits(limits, nowMs);
    this.#canvas.style.opacity = this.#stage.limits.opacity_max;
    this.#wake();
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
   * Spawns the sprites of one topic item, as far as there is room.
   *
   * @param {{page: number, sequence: number, reactions: {emoji: string, count: number}[]}} item
   * @param {number} nowMs when, on the clock of `performance.now()`
   */
  spawn(item, nowMs = performance.now()) {
    this.#stage.spawn(item, nowMs);
    this.#wake();
  }

  /**
   * Takes off the sprites of items that have been taken back.
   *
   * @param {{page: number, sequences: number[]}} items
   */
  retract({ page, sequences }) {
    this.#stage.retract(page, sequences);
    this.#wake();
  }

  /** Takes off everything. */
  clear() {
    this.#stage.clear();
    this.#wake();
  }

  /**
   * Draws the layer as it is at `nowMs`. The layer calls this itself while there is something to draw.
   *
   * @returns {number} how many sprites are in flight, or yet to come on
   */
  draw(nowMs) {
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#motions.deadline = performance.now() + SAMPLING_MS_MAX;
    this.#stage.retire(nowMs);
    this.#prepareMotions();
    const widthPx = this.#container.clientWidth;
    for (const sprite of this.#stage.sprites) {
      const earlyMs = sprite.bornMs - nowMs;
      const fading = this.#stage.fading(sprite, nowMs);
      if (earlyMs > EARLY_MS || fading === 0) continue;
      const ageMs = Math.max(0, -earlyMs);
      const motion = this.#motionOf(sprite);
      if (!(ageMs < motion?.lifeMs)) continue;
      motion.pose(ageMs, this.#pose);
      const hash = scatter(sprite.page, sprite.sequence, sprite.index, LANE_LEFT);
      this.#drawOne(sprite, ageMs, leftPx(hash, widthPx, sprite.look.kind.fontSizePx), fading);
    }
    this.#drawRow(nowMs);
    return this.live;
  }

  /** The box sits on whole device pixels and only the transform is finer: so browsers paint it. */
  #drawOne({ look, standsFor }, ageMs, ownLeft, fading) {
    const [x, y, opacity, a, b, c, d, e, f] = this.#pose;
    const { kind, width, height } = look;
    const scale = this.#scale;
    const context = this.#context;
    const left = layout((kind.x === 'auto' ? ownLeft : x) * scale);
    const whole = this.#canvas;
    const boxX = Math.floor((kind.x === 'right' ? whole.width - width - left : left) + 0.5);
    const bottom = layout(y * scale);
    const boxY = Math.floor((kind.y === 'top' ? bottom : whole.height - height - bottom) + 0.5);
    context.setTransform(a, b, c, d, boxX + width / 2 + e * scale, boxY + height / 2 + f * scale);
    context.globalAlpha = opacity * fading;
    this.#drawLook(look, ageMs, scaleOf(a, b, c, d));
    if (standsFor > 1) {
      const digitPx = DIGIT_SHARE * height;
      this.#signs.draw(context, standsFor, digitPx, (width + digitPx) / 2, height / 2 - digitPx);
    }
  }

  /** Draws a glyph or a picture, its box's centre at 0, 0. */
  #drawLook({ glyph, picture, width, height }, ageMs, scale) {
    if (picture === undefined) {
      glyph.draw(this.#context, scale);
      return;
    }
    const frame = picture.at(ageMs);
    if (frame !== undefined) this.#context.drawImage(frame, -width / 2, -height / 2, width, height);
  }

  /** Emoji in a row at the bottom, each with how many there were of late. */
  #drawRow(nowMs) {
    const order = [...this.#reactions.keys()];
    const counts = this.#stage.counts(nowMs, (emoji) => order.indexOf(plain(emoji)) >>> 0);
    const row = counts.map(({ emoji, count }) => ({ count, look: this.#lookOf(emoji) }));
    // The digits have room for five of them, so that nothing moves when a number grows.
    const slot = ({ width, height }) => width + ROW_NUMBER_SHARE * height;
    const wanted = row.reduce((sum, { look }) => sum + slot(look), 0);
    const whole = this.#canvas;
    const scale = Math.min((ROW_WIDTH_SHARE * whole.width) / wanted, 1);
    const context = this.#context;
    context.globalAlpha = 1;
    let left = (whole.width - wanted * scale) / 2;
    for (const { count, look } of row) {
      const { width, height } = look;
      const top = whole.height * (1 - ROW_BOTTOM_SHARE) - height * scale;
      context.setTransform(scale, 0, 0, scale, Math.round(left) + (width / 2) * scale, Math.round(top) + (height / 2) * scale);
      this.#drawLook(look, nowMs, scale);
      const digitPx = ROW_DIGIT_SHARE * height;
      const right = width / 2 + digitPx * ROW_GAP + this.#signs.width(count, digitPx);
      this.#signs.draw(context, count, digitPx, right, -digitPx / 2);
      left += slot(look) * scale;
    }
  }

  /** Has the motions sampled that new sprites need, all at once. */
  #prepareMotions() {
    const wanted = new Map();
    for (const sprite of this.#stage.sprites) {
      if (sprite.motion !== undefined && !sprite.motion.rough) continue;
      const { kind } = this.#lookOf(sprite.emoji);
      if (!wanted.has(kind)) wanted.set(kind, []);
      wanted.get(kind).push(this.#sharesOf(sprite));
    }
    for (const [kind, all] of wanted) this.#motions.prepare(kind, all);
  }

  #sharesOf({ page, sequence, index }) {
    return this.#ranges.map(({ lane }) => scatter(page, sequence, index, lane) >>> SHARE_SHIFT);
  }

  /** How a sprite moves, which is kept with it, as is what it looks like, until the style is another. */
  #motionOf(sprite) {
    const kept = sprite.motion;
    if (kept !== undefined && !(kept.rough && performance.now() < this.#motions.deadline)) return kept;
    const look = this.#lookOf(sprite.emoji);
    const motion = this.#motions.of(look.kind, this.#sharesOf(sprite));
    if (motion === undefined) this.#warn(`the stylesheet gives .${look.kind.className.replace(' ', '.')} no animation with a duration`);
    if (!(kept?.rough && motion?.rough)) sprite.motion = motion;
    sprite.look = look;
    this.#stage.lasts(sprite, sprite.motion?.lifeMs ?? 0);
    return sprite.motion;
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
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#tick);
  }

  #tick = (nowMs) => {
    this.#frame = 0;
    this.draw(nowMs);
    if (!this.#stage.isEmpty) this.#wake();
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
    for (const sprite of this.#stage.sprites) sprite.look = sprite.motion = undefined;
    if (this.#stage.isEmpty) return;
    this.#stage.remeasure();
    this.draw(performance.now());
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
