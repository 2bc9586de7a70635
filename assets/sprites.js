// Floating emoji on one canvas, posed by the stylesheet's own animation.
//
// The pages put no element per reaction into the document: one canvas is laid over a container,
// and a sprite is an entry of a fixed ring. How a sprite moves is not written here. It is sampled
// from `.animated-emoji` of overlay.css through one hidden probe element, so that the page follows
// whatever stylesheet it is given. Where a sprite starts is `scatter`, the hash that the renderer
// uses too, so every page and every rendered frame shows the same picture.

/** The sprite's horizontal start: the only lane so far. */
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

function fold(h, word) {
  let x = (h ^ word) + 0x9e3779b9;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Rasters kept, one per emoji; the one made first goes when a new one comes. */
const RASTERS_MAX = 256;
/** Transparent pixels around a raster: glyphs reach past their box, and edges need a neighbour. */
const RASTER_PAD_PX = 4;

/** A layer of sprites over one positioned container, which it follows in size. */
export class SpriteLayer {
  /** Resolves when the stylesheet's font is there and sprites can be drawn as they should be. */
  ready;

  #container;
  #canvas;
  #context;
  #probe;
  #ruler;
  #marker;
  #motion;
  #fontSizePx;
  #scale;
  #rasters = new Map();
  #frame = 0;

  // The ring: sprites in the order of their spawning, which is the order of drawing.
  #max;
  #emoji;
  #hash;
  #bornMs;
  #head = 0;
  #live = 0;

  /**
   * @param {HTMLElement} container positioned (CSS `position` other than static)
   * @param {{max?: number}} options `max`: live sprites at most; the oldest is retired for a new one
   * @throws {Error} when the stylesheet gives `.animated-emoji` no animation
   */
  constructor(container, { max = 1000 } = {}) {
    if (!Number.isSafeInteger(max) || max < 1) throw new Error(`max is ${max}; want an integer of 1 or more`);
    this.#container = container;
    this.#max = max;
    this.#emoji = new Array(max).fill('');
    this.#hash = new Uint32Array(max);
    this.#bornMs = new Float64Array(max);
    this.#build();
    const box = this.#canvas.getBoundingClientRect();
    this.#resize(devicePixels(box.width), devicePixels(box.height));
    const { fontFamily, fontSize } = getComputedStyle(this.#probe);
    // A font that can't be loaded leaves the next family of the list: still an emoji.
    this.ready = document.fonts.load(`${fontSize} ${fontFamily}`, '❤').catch((e) => console.warn('floatup: font:', e))
      .then(() => this.#restyle());
  }

  /** How many sprites are in flight. */
  get live() {
    return this.#live;
  }

  /**
   * Spawns the sprites of one topic item.
   *
   * @param {{page: number, sequence: number, reactions: {emoji: string, count: number}[]}} item
   * @param {number} nowMs when, on the clock of `performance.now()`
   */
  spawn({ page, sequence, reactions }, nowMs = performance.now()) {
    let index = 0;
    for (const { emoji, count } of reactions) {
      for (const end = index + count; index < end; index++) {
        const slot = (this.#head + this.#live) % this.#max;
        if (this.#live === this.#max) this.#head = (this.#head + 1) % this.#max;
        else this.#live++;
        this.#emoji[slot] = emoji;
        this.#hash[slot] = scatter(page, sequence, index, LANE_LEFT);
        this.#bornMs[slot] = nowMs;
      }
    }
    this.#wake();
  }

  /**
   * Draws the layer as it is at `nowMs`. The layer calls this itself while sprites are in flight.
   *
   * @returns {number} how many sprites were drawn
   */
  draw(nowMs) {
    const context = this.#context;
    const { width, height } = this.#canvas;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    // All live equally long, so the ones that are done are the oldest.
    while (this.#live > 0 && nowMs - this.#bornMs[this.#head] >= this.#motion.lifeMs) {
      this.#head = (this.#head + 1) % this.#max;
      this.#live--;
    }
    const widthPx = this.#container.clientWidth;
    for (let i = 0; i < this.#live; i++) {
      const slot = (this.#head + i) % this.#max;
      // An event's time can lie a little after the frame's own.
      const pose = this.#motion.pose(Math.max(0, nowMs - this.#bornMs[slot]));
      this.#drawOne(this.#raster(this.#emoji[slot]), leftPx(this.#hash[slot], widthPx, this.#fontSizePx), pose);
    }
    return this.#live;
  }

  /** The box sits on whole device pixels and only the transform is finer: so browsers paint it. */
  #drawOne(raster, left, [, bottom, opacity, a, b, c, d, e, f]) {
    const scale = this.#scale;
    const x = Math.floor(Math.trunc(left * scale * 64) / 64 + 0.5) + raster.originX;
    const y = Math.floor(this.#canvas.height - raster.height - bottom * scale + 0.5) + raster.originY;
    const context = this.#context;
    context.setTransform(a, b, c, d, x + e * scale, y + f * scale);
    context.globalAlpha = Math.min(1, Math.max(0, opacity));
    context.drawImage(raster.image, -raster.originX - RASTER_PAD_PX, -raster.originY - RASTER_PAD_PX);
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
    this.#probe = element('div', { left: '0' });
    this.#probe.textContent = '❤️';
    this.#ruler = element('div', { left: '0', whiteSpace: 'nowrap' });
    this.#ruler.style.setProperty('animation', 'none', 'important');
    this.#ruler.style.setProperty('transform', 'none', 'important');
    this.#probe.className = this.#ruler.className = 'animated-emoji';
    this.#marker = element('span', { display: 'inline-block', width: '0', height: '0' });
    this.#ruler.append(this.#marker);
    hidden.append(this.#probe, this.#ruler);
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
    new MutationObserver(() => this.#restyle()).observe(document.head, { childList: true });
  }

  #resize(width, height) {
    // Setting a canvas's size, even to the same, clears it.
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.#restyle();
  }

  /** Takes the motion and the font anew: the stylesheet, the container or the screen changed. */
  #restyle() {
    this.#scale = devicePixelRatio;
    this.#fontSizePx = parseFloat(getComputedStyle(this.#probe).fontSize);
    this.#rasters.clear();
    this.#motion = Motion.of(this.#probe);
    if (this.#live > 0) this.draw(performance.now());
  }

  /** The emoji upright, drawn once at its size in device pixels, with its box's size and origin. */
  #raster(emoji) {
    const kept = this.#rasters.get(emoji);
    if (kept) return kept;
    if (this.#rasters.size >= RASTERS_MAX) this.#rasters.delete(this.#rasters.keys().next().value);

    this.#ruler.replaceChildren(emoji, this.#marker);
    const style = getComputedStyle(this.#ruler);
    const scale = this.#scale;
    const box = this.#ruler.getBoundingClientRect();
    const baseline = Math.round((this.#marker.getBoundingClientRect().bottom - box.top) * scale);
    const [originX, originY] = style.transformOrigin.split(' ').map((px) => parseFloat(px) * scale);
    const image = document.createElement('canvas');
    image.width = Math.ceil(box.width * scale) + 2 * RASTER_PAD_PX;
    image.height = Math.ceil(box.height * scale) + 2 * RASTER_PAD_PX;
    const context = image.getContext('2d');
    context.font = `${style.fontStyle} ${style.fontWeight} ${this.#fontSizePx * scale}px ${style.fontFamily}`;
    context.fillStyle = style.color;
    context.fillText(emoji, RASTER_PAD_PX, RASTER_PAD_PX + baseline);

    const raster = { image, originX, originY, height: box.height * scale };
    this.#rasters.set(emoji, raster);
    return raster;
  }
}

/** Between two samples the pose may differ from a straight line by this much, in px. */
const MOTION_ERROR_PX = 0.05;
/** The same for opacity: a quarter of one level of 255. */
const MOTION_ERROR_OPACITY = 0.001;
/** Samples are no closer than this, so that a jump (`steps()`) ends the search. */
const MOTION_STEP_MIN_MS = 0.25;
/** Intervals to begin with; more are made where the motion bends. */
const MOTION_INTERVALS = 32;

/**
 * What the stylesheet's animation does, as a table of poses by age.
 *
 * A pose is [ms, bottom px, opacity, a, b, c, d, e, f], the last six a CSS transform matrix.
 */
class Motion {
  #poses;
  #between = new Float64Array(9);

  constructor(lifeMs, poses) {
    this.lifeMs = lifeMs;
    this.#poses = poses;
  }

  /** Samples the animation of `probe`, an element of class `animated-emoji`. */
  static of(probe) {
    const animations = probe.getAnimations();
    const ends = animations.map(({ effect }) => {
      const { endTime, delay, duration } = effect.getComputedTiming();
      return Number.isFinite(endTime) ? endTime : delay + duration;
    });
    const lifeMs = Math.max(0, ...ends);
    if (!(lifeMs > 0)) throw new Error('the stylesheet gives .animated-emoji no animation with a duration');

    const style = getComputedStyle(probe);
    const sample = (ms) => {
      for (const animation of animations) {
        animation.pause();
        // Just before the end: at the end itself an animation that doesn't fill is gone.
        animation.currentTime = Math.min(ms, lifeMs - 0.001);
      }
      const { a, b, c, d, e, f } = new DOMMatrix(style.transform);
      return [ms, parseFloat(style.bottom), parseFloat(style.opacity), a, b, c, d, e, f];
    };
    const radiusPx = Math.max(parseFloat(style.width), parseFloat(style.height)) / 2;

    const poses = [sample(0)];
    const refine = (from, to) => {
      const middle = sample((from[0] + to[0]) / 2);
      if (to[0] - from[0] > MOTION_STEP_MIN_MS && !isStraight(from, middle, to, radiusPx)) {
        refine(from, middle);
        refine(middle, to);
      } else {
        poses.push(to);
      }
    };
    for (const ms of intervalEnds(animations, lifeMs)) refine(poses[poses.length - 1], sample(ms));
    return new Motion(lifeMs, poses);
  }

  /** The pose at an age in 0 .. lifeMs; the array is used again by the next call. */
  pose(ageMs) {
    const poses = this.#poses;
    let low = 0;
    let high = poses.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (poses[middle][0] <= ageMs) low = middle;
      else high = middle;
    }
    const from = poses[low];
    const to = poses[high];
    const t = (ageMs - from[0]) / (to[0] - from[0]);
    for (let i = 0; i < from.length; i++) this.#between[i] = from[i] + (to[i] - from[i]) * t;
    return this.#between;
  }
}

/** Where to sample: an even grid and the keyframes, after 0 and up to the end, rising. */
function intervalEnds(animations, lifeMs) {
  const ends = new Set([lifeMs]);
  for (let i = 1; i < MOTION_INTERVALS; i++) ends.add((lifeMs * i) / MOTION_INTERVALS);
  for (const { effect } of animations) {
    const { delay, duration } = effect.getComputedTiming();
    for (const { computedOffset } of effect.getKeyframes()) ends.add(delay + duration * computedOffset);
  }
  return [...ends].filter((ms) => ms > 0 && ms <= lifeMs).sort((a, b) => a - b);
}

function isStraight(from, middle, to, radiusPx) {
  const off = middle.map((value, i) => Math.abs(value - (from[i] + to[i]) / 2));
  const [, bottom, opacity, a, b, c, d, e, f] = off;
  return bottom < MOTION_ERROR_PX && opacity < MOTION_ERROR_OPACITY
    && Math.max(a, b, c, d) * radiusPx < MOTION_ERROR_PX && Math.max(e, f) < MOTION_ERROR_PX;
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
