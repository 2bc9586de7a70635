// The sprites that are alive: who is let on, and who gives way when there is no room.
//
// No pixel and no clock is seen here: times are arguments. The renderer does the same, in
// src/stage.rs, but for publishers, of whom a page knows nothing.

/**
 * Bounds, as a channel has them without settings. They are named as in the settings file, where
 * docs/settings.md says what each does; `null` is no bound.
 */
export const LIMITS = Object.freeze({
  sprites_max: 1000,
  overflow: 'retire-oldest',
  queue_max: 1000,
  queue_seconds: 5,
  spread_ms: 1000,
  coverage_max: null,
  opacity_max: 1,
  quiet: false,
});

/** What `overflow` may be. */
const OVERFLOWS = ['retire-oldest', 'drop-newest', 'aggregate', 'queue'];
/** How long a sprite that gives way takes to fade out. */
const FADE_MS = 200;
/** For how long a sprite takes others of its emoji into its number. */
const AGGREGATED_MS = 500;
/** Of `sprites_max`, one part in so many is kept for sprites that fade out. */
const LEAVING_SHARE = 8;
/** Every reaction up to so many in one message has a sprite of its own. */
const EACH_MAX = 10;

/** What a sprite does: it has a place, it fades out, or it has ended. */
const PLAYS = 0;
const LEAVES = 1;
const OVER = 2;

/**
 * How many sprites stand for so many reactions of one message: each for itself up to ten, and
 * `10 + 10 ln(count / 10)` rounded down beyond that.
 *
 * @param {number} count an integer of 0 or more
 */
export function shown(count) {
  return count <= EACH_MAX ? count : EACH_MAX + Math.floor(EACH_MAX * Math.log(count / EACH_MAX));
}

/** One sprite. {@link Stage} alone changes what is said here; whoever draws it may keep more with it. */
export class Sprite {
  part = PLAYS;
  /** When it has faded out, if it does. */
  goneMs = Infinity;
  /** How many reactions it stands for. */
  standsFor = 1;

  constructor({ emoji, page, sequence, index, bornMs }) {
    this.emoji = emoji;
    this.page = page;
    this.sequence = sequence;
    this.index = index;
    this.bornMs = bornMs;
  }
}

/** Live sprites within bounds. */
export class Stage {
  /** Those that are to be drawn, in the order of drawing; some have yet to come on. */
  sprites = [];

  #cast;
  #limits = LIMITS;
  #waiting = [];
  #shares = new Map();
  #taken = 0;
  #area = 0;
  #batches = new Batches();
  #bar = new Bar();
  /** No sprite ends before this, so that until then there is nothing to look for. */
  #firstEndMs = Infinity;

  /**
   * @param {object} cast what the stage needs to know of sprites
   * @param {(sprite: Sprite) => {lifeMs: number, area: number}} cast.measure how long one lives, in
   *   ms, and the area of its box
   * @param {() => number} cast.frameArea of the whole picture, in the same unit
   */
  constructor(cast) {
    this.#cast = cast;
  }

  get limits() {
    return this.#limits;
  }

  /** Whether there is nothing to draw, now or later. */
  get isEmpty() {
    return this.sprites.length === 0 && this.#waiting.length === 0 && this.#bar.isEmpty;
  }

  /**
   * Other bounds from `nowMs` on: who is too many then gives way. What is missing, or is none that
   * there can be, is as it was.
   */
  setLimits(changes, nowMs) {
    const limits = { ...this.#limits };
    for (const key of Object.keys(LIMITS)) if (isLimit(key, changes[key])) limits[key] = changes[key];
    this.#limits = Object.freeze(limits);
    this.#settle(nowMs);
    const places = limits.quiet ? 0 : this.#places();
    if (!limits.quiet) this.#bar.clear();
    while (this.#taken > places) this.#letGo(this.#givingWay(undefined, false), nowMs);
    this.#keepWithin(limits.sprites_max);
    const most = limits.overflow === 'queue' && !limits.quiet ? limits.queue_max : 0;
    this.#waiting.length = Math.min(this.#waiting.length, most);
    this.#settle(nowMs);
  }

  /**
   * Puts the sprites of one topic item on. Of many reactions fewer are shown; the first of each
   * emoji comes on at once, the others until the next such item is to be expected.
   *
   * @param {{page: number, sequence: number, reactions: {emoji: string, count: number}[]}} item
   * @param {number} nowMs no earlier than at the last call
   */
  spawn({ page, sequence, reactions }, nowMs) {
    this.#settle(nowMs);
    if (this.#limits.quiet) {
      for (const { emoji, count } of reactions) this.#bar.add(emoji, count, nowMs);
      return;
    }
    const counts = reactions.map(({ emoji, count }) => ({ emoji, count: shown(count) }));
    const isBatch = counts.some(({ count }) => count > 1);
    const intervalMs = isBatch ? this.#batches.intervalMs(nowMs, this.#limits.spread_ms) : 0;
    let index = 0;
    for (const { emoji, count } of counts) {
      for (let n = 0; n < count; n++, index++) {
        const sprite = new Sprite({ emoji, page, sequence, index, bornMs: nowMs + (intervalMs * n) / count });
        this.#measure(sprite);
        this.#admit(sprite, nowMs);
      }
    }
  }

  /** Takes off the sprites of items that have been taken back. */
  retract(page, sequences) {
    const gone = new Set(sequences);
    this.#takeOff((sprite) => sprite.page === page && gone.has(sprite.sequence));
  }

  /** Takes everything off, what waits and the row of counts too. */
  clear() {
    this.#bar.clear();
    this.#takeOff(() => true);
  }

  /** Lets those go that are over at `nowMs`, and those on that wait for room. */
  retire(nowMs) {
    this.#settle(nowMs);
    this.#bar.forget(nowMs);
    this.sprites = this.sprites.filter((sprite) => sprite.part !== OVER || sprite.endsMs > nowMs);
  }

  /** Asks anew how long sprites live and how large they are: the stylesheet or the picture is another. */
  remeasure() {
    this.#area = 0;
    for (const { sprite } of this.#waiting) this.#measure(sprite);
    for (const sprite of this.sprites) {
      this.#measure(sprite);
      if (sprite.part === PLAYS) this.#area += sprite.area;
      this.#firstEndMs = Math.min(this.#firstEndMs, sprite.endsMs);
    }
  }

  /** A sprite that is on lives for so long: what was known of it when it came was not exact. */
  lasts(sprite, lifeMs) {
    sprite.endsMs = Math.min(sprite.bornMs + lifeMs, sprite.goneMs);
    this.#firstEndMs = Math.min(this.#firstEndMs, sprite.endsMs);
  }

  /** How much of its opacity a sprite has at `nowMs`, 0 to 1. */
  fading(sprite, nowMs) {
    return Math.min(Math.max((sprite.goneMs - nowMs) / FADE_MS, 0), 1);
  }

  /**
   * The emoji of which there were most of late, and how many, where a row of counts is shown.
   *
   * @param {(emoji: string) => number} orderOf the place of an emoji in the palette
   */
  counts(nowMs, orderOf) {
    return this.#bar.counts(nowMs, orderOf);
  }

  #takeOff(isGone) {
    this.#waiting = this.#waiting.filter(({ sprite }) => !isGone(sprite));
    for (const sprite of this.sprites) if (isGone(sprite) && sprite.part === PLAYS) this.#leave(sprite);
    this.sprites = this.sprites.filter((sprite) => !isGone(sprite));
  }

  #measure(sprite) {
    const { lifeMs, area } = this.#cast.measure(sprite);
    sprite.area = area;
    sprite.endsMs = Math.min(sprite.bornMs + lifeMs, sprite.goneMs);
  }

  /** Brings the stage to `nowMs`: who waits takes a place at the very time when it is free. */
  #settle(nowMs) {
    while (this.#waiting.length > 0 && this.#firstEndMs <= nowMs) {
      const atMs = this.#firstEndMs;
      this.#endUntil(atMs);
      this.#letOn(atMs);
    }
    this.#endUntil(nowMs);
    this.#letOn(nowMs);
  }

  #endUntil(nowMs) {
    if (nowMs < this.#firstEndMs) return;
    this.#firstEndMs = Infinity;
    for (const sprite of this.sprites) {
      if (sprite.part === OVER) continue;
      if (sprite.endsMs > nowMs) {
        this.#firstEndMs = Math.min(this.#firstEndMs, sprite.endsMs);
        continue;
      }
      if (sprite.part === PLAYS) this.#leave(sprite);
      sprite.part = OVER;
    }
  }

  #letOn(atMs) {
    let done = 0;
    for (const { sprite, sinceMs } of this.#waiting) {
      if (atMs - sinceMs <= this.#limits.queue_seconds * 1000) {
        if (!this.#hasRoom(sprite)) break;
        const lateMs = Math.max(atMs - sprite.bornMs, 0);
        sprite.bornMs += lateMs;
        sprite.endsMs += lateMs;
        this.#putOn(sprite);
      }
      done++;
    }
    this.#waiting.splice(0, done);
  }

  #admit(sprite, nowMs) {
    while (!this.#hasRoom(sprite)) {
      const { overflow } = this.#limits;
      if (overflow === 'queue') {
        this.#queue(sprite, nowMs);
        return;
      }
      if (overflow === 'aggregate') {
        const same = this.sprites.findLast((one) => one.part === PLAYS && one.emoji === sprite.emoji);
        // A number beside one that is soon over would hardly be read.
        if (same !== undefined && nowMs < same.bornMs + AGGREGATED_MS) {
          same.standsFor += sprite.standsFor;
          return;
        }
      }
      const other = this.#givingWay(sprite, overflow === 'drop-newest');
      if (overflow === 'drop-newest' && other === sprite) return;
      if (other === undefined) break;
      this.#letGo(other, nowMs);
    }
    this.#putOn(sprite);
  }

  /** Sprites that are not fading out, at once. */
  #places() {
    const { sprites_max: most } = this.#limits;
    return most - Math.floor(most / LEAVING_SHARE);
  }

  #hasRoom(sprite) {
    if (this.#taken === 0) return true;
    const { coverage_max: most } = this.#limits;
    const isCovered = most !== null && this.#area + sprite.area > most * this.#cast.frameArea();
    return this.#taken < this.#places() && !isCovered;
  }

  #putOn(sprite) {
    // One place is for the sprite.
    this.#keepWithin(this.#limits.sprites_max - 1);
    this.#take(sprite);
    this.#firstEndMs = Math.min(this.#firstEndMs, sprite.endsMs);
    this.sprites.push(sprite);
  }

  #take(sprite) {
    add(this.#shares, sprite.emoji, 1);
    this.#taken++;
    this.#area += sprite.area;
  }

  #leave(sprite) {
    add(this.#shares, sprite.emoji, -1);
    this.#taken--;
    this.#area = this.#taken === 0 ? 0 : this.#area - sprite.area;
  }

  /** Who gives way to another: the oldest of those that have too much, or the newest, which may be the other. */
  #givingWay(newcomer, newest) {
    if (newcomer !== undefined) add(this.#shares, newcomer.emoji, 1);
    const hasTooMuch = uneven(this.#shares, this.#places());
    const isMeant = (sprite) => sprite.part === PLAYS && hasTooMuch(sprite.emoji);
    let found;
    if (!newest) found = this.sprites.find(isMeant);
    else if (hasTooMuch(newcomer.emoji)) found = newcomer;
    else found = this.sprites.findLast(isMeant);
    if (newcomer !== undefined) add(this.#shares, newcomer.emoji, -1);
    return found;
  }

  #letGo(sprite, nowMs) {
    this.#leave(sprite);
    // One that has yet to come on never does.
    sprite.goneMs = sprite.bornMs > nowMs ? nowMs : nowMs + FADE_MS;
    sprite.part = LEAVES;
    sprite.endsMs = Math.min(sprite.endsMs, sprite.goneMs);
    this.#firstEndMs = Math.min(this.#firstEndMs, sprite.endsMs);
  }

  /** Lets a sprite wait for room; if too many do, the newest of those that have most goes. */
  #queue(sprite, sinceMs) {
    this.#waiting.push({ sprite, sinceMs });
    if (this.#waiting.length <= this.#limits.queue_max) return;
    const shares = new Map();
    for (const { sprite: { emoji } } of this.#waiting) add(shares, emoji, 1);
    const hasTooMuch = uneven(shares, this.#limits.queue_max);
    this.#waiting.splice(this.#waiting.findLastIndex((one) => hasTooMuch(one.sprite.emoji)), 1);
  }

  /** Takes off who has ended and who is nearest to it, until there are no more than so many; who plays stays. */
  #keepWithin(most) {
    while (this.sprites.length > most) {
      let first = -1;
      this.sprites.forEach((sprite, i) => {
        if (sprite.part !== PLAYS && !(first >= 0 && this.sprites[first].endsMs <= sprite.endsMs)) first = i;
      });
      if (first < 0) return;
      this.sprites.splice(first, 1);
    }
  }
}

/** Which emoji have more than an even share of so many places; if none has, all of them. */
function uneven(shares, places) {
  const even = Math.max(Math.floor(places / Math.max(shares.size, 1)), 1);
  let most = 0;
  for (const count of shares.values()) most = Math.max(most, count);
  return most > even ? (emoji) => shares.get(emoji) > even : () => true;
}

function add(shares, emoji, more) {
  const count = (shares.get(emoji) ?? 0) + more;
  if (count > 0) shares.set(emoji, count);
  else shares.delete(emoji);
}

function isLimit(key, value) {
  switch (key) {
    case 'overflow':
      return OVERFLOWS.includes(value);
    case 'quiet':
      return typeof value === 'boolean';
    case 'coverage_max':
      return value === null || value > 0;
    case 'opacity_max':
      return value >= 0 && value <= 1;
    case 'sprites_max':
      return Number.isSafeInteger(value) && value >= 1;
    default:
      return Number.isSafeInteger(value) && value >= 0;
  }
}

/** How far apart messages of several sprites come. */
class Batches {
  #lastMs;
  #intervalMs;

  /**
   * The time until the next batch, as far as can be told when one comes: as long as since the one
   * before, and at most `mostMs`, as also for the first.
   */
  intervalMs(atMs, mostMs) {
    if (this.#lastMs !== undefined && atMs > this.#lastMs) this.#intervalMs = atMs - this.#lastMs;
    this.#lastMs = atMs;
    return Math.min(this.#intervalMs ?? mostMs, mostMs);
  }
}

/** Counts are of the last so many intervals that are over. */
const INTERVALS = 20;
/** Numbers change this often, and so does not what can be read. */
const INTERVAL_MS = 500;
/** Emoji in the row at most: those of which there were most. */
const ROW_MAX = 5;

/** How many there were of each emoji of late. */
class Bar {
  /** Of each interval, by its number, the counts by emoji; oldest first. */
  #intervals = new Map();

  get isEmpty() {
    return this.#intervals.size === 0;
  }

  add(emoji, count, nowMs) {
    const number = intervalOf(nowMs);
    this.forget(nowMs);
    if (!this.#intervals.has(number)) this.#intervals.set(number, new Map());
    add(this.#intervals.get(number), emoji, count);
  }

  forget(nowMs) {
    for (const number of this.#intervals.keys()) if (number < intervalOf(nowMs) - INTERVALS) this.#intervals.delete(number);
  }

  clear() {
    this.#intervals.clear();
  }

  counts(nowMs, orderOf) {
    const now = intervalOf(nowMs);
    const sums = new Map();
    for (const [number, counts] of this.#intervals) {
      if (number < now - INTERVALS || number >= now) continue;
      for (const [emoji, count] of counts) add(sums, emoji, count);
    }
    const row = [...sums].map(([emoji, count]) => ({ emoji, count, order: orderOf(emoji) }));
    row.sort((one, other) => other.count - one.count || one.order - other.order);
    return row.slice(0, ROW_MAX).sort((one, other) => one.order - other.order);
  }
}

function intervalOf(ms) {
  return Math.floor(ms / INTERVAL_MS);
}
