// How sprites move: the stylesheet's own animations, sampled into tables of poses.
//
// How a sprite moves is not written here. One hidden probe element after the other gets a sprite's
// class and values, its animations are put to one moment after the other, and what the browser
// computes for it is kept. So the page follows whatever stylesheet it is given.
//
// The sprites of a stylesheet with variables move each in a way of their own. To sample every one
// of them would freeze the page. Where the poses lie on straight lines between those of some
// shares of a variable, these alone are sampled (the *nodes*), and the rest is mixed of them.

/** A share of a variable's range is one of so many: 0 ..= SHARE_MAX. */
export const SHARE_MAX = 63;

/** Motions kept; the one made first goes when a new one comes. */
const MOTIONS_MAX = 4096;
/** So many probes are in the page at once. */
const PROBES_MAX = 16;
/** Between samples the pose may be off the curve by this much, in px. */
const ERROR_PX = 0.05;
/** The same for opacity: a quarter of one level of 255. */
const ERROR_OPACITY = 0.001;
/** Mixed motions may differ from sampled ones by so many times as much. */
const MIXED_ERRORS = 2;
/** Samples are no closer than this, so that a jump (`steps()`) ends the search. */
const STEP_MIN_MS = 0.25;
/** Intervals to begin with; more are made where the motion bends too much. */
const INTERVALS = 6;
/** The same where an easing function has points of its own, which can be close. */
const INTERVALS_POINTS = 64;
/** Where within an interval it is looked whether the motion is on the curve: at no even share. */
const LOOK_AT = [0.29, 0.71];
/** Nodes are so many shares apart: as many as will do. All divide SHARE_MAX. */
const STEPS = [63, 21, 9, 3, 1];
/** Motions that stand in for others are those of shares so far apart. */
const ROUGH_STEP = 21;
/** At most so many variables are mixed, of two nodes each; the nodes of any further one are single shares. */
const MIXED_MAX = 5;
/** Before an animation's end by this much it is not over yet, in a browser's rounding. */
const LAST_MS = 0.01;
/** Where a sprite is that has neither `left` nor `right`: nowhere else does one get to. */
const STATIC_LEFT_PX = -8191;
/** A probe grows by this to show which of its edges stay. */
const GROWTH_PX = 64;

/** Values of one pose: x and y of its box, opacity, and a CSS transform matrix about the box's centre. */
const POSE_LENGTH = 9;
/** A row of a table: the share of life, and a pose. */
const ROW_LENGTH = 1 + POSE_LENGTH;

/** An array for {@link Motion.pose}. */
export function newPose() {
  return new Float64Array(POSE_LENGTH);
}

/** How one sprite moves: a table of poses by age, with a parabola through every three of them. */
class Motion {
  #rows;
  /** Whether this stands in for a motion that there was no time to sample. */
  rough = false;

  /**
   * @param {number} lifeMs above 0
   * @param {Float64Array} rows from share 0 to share 1: the ends of the intervals, rising, and
   *   between every two of them the interval's middle
   */
  constructor(lifeMs, rows) {
    this.lifeMs = lifeMs;
    this.#rows = rows;
  }

  get rows() {
    return this.#rows;
  }

  /** Puts the pose at an age into `into`. */
  pose(ageMs, into) {
    this.at(ageMs / this.lifeMs, into);
  }

  /** The same by the share of life passed. */
  at(life, into) {
    const rows = this.#rows;
    let low = 0;
    let high = (rows.length / ROW_LENGTH - 1) / 2;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (rows[2 * middle * ROW_LENGTH] <= life) low = middle;
      else high = middle;
    }
    const from = 2 * low * ROW_LENGTH;
    const middle = from + ROW_LENGTH;
    const to = middle + ROW_LENGTH;
    const t = (life - rows[from]) / (rows[to] - rows[from]);
    for (let i = 1; i <= POSE_LENGTH; i++) into[i - 1] = onCurve(rows[from + i], rows[middle + i], rows[to + i], t);
  }
}

/** On the parabola through the values at 0, 1/2 and 1; in such terms that a constant stays exact. */
function onCurve(from, middle, to, t) {
  return from + t * (to - from + 2 * (t - 1) * (from - 2 * middle + to));
}

/** All motions of one stylesheet in one container of one size. */
export class Motions {
  #host;
  #ranges;
  #kinds = new Map();
  #kept = new Map();
  /** On the clock of `performance.now()`: from then on nothing is sampled that can wait. */
  deadline = Infinity;

  /**
   * @param {HTMLElement} host empty and positioned statically, in a container like the sprites' own
   * @param {{name: string, at: (share: number) => string}[]} ranges from {@link readRules}
   * @throws {Error} when the stylesheet gives `.animated-emoji` no animation
   */
  constructor(host, ranges) {
    this.#host = host;
    host.style.marginLeft = `${STATIC_LEFT_PX}px`;
    this.#ranges = ranges;
    if (!(this.kind('', undefined).lifeMs > 0)) {
      throw new Error('the stylesheet gives .animated-emoji no animation with a duration');
    }
  }

  /**
   * What sprites of one class have in common.
   *
   * @param {string} reaction NAME of `reaction-NAME`, or empty
   * @param {{width: number, height: number} | undefined} box in px, of a picture; else it is a glyph's
   */
  kind(reaction, box) {
    const key = box === undefined ? reaction : `${reaction} ${box.width} ${box.height}`;
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      kind = this.#measure({ key, className: className(reaction), box, steps: undefined, scaleMax: 1 });
      this.#kinds.set(key, kind);
    }
    return kind;
  }

  /**
   * How a sprite of a kind moves whose variables have these shares, 0 ..= SHARE_MAX, in the order
   * of the ranges. Undefined when it has no life.
   */
  of(kind, shares) {
    if (!(kind.lifeMs > 0)) return undefined;
    this.#known(kind);
    const key = keyOf(kind, shares, kind.steps);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const corners = cornersOf(shares, kind.steps);
    if (performance.now() > this.deadline && !corners.every(({ at }) => this.#kept.has(keyOf(kind, at, kind.steps)))) {
      return this.#rough(kind, shares);
    }
    return this.#keep(key, mixed(this.#nodes(kind, corners)));
  }

  /** What stands in for a motion: one of few, mixed of the ends of all ranges. */
  #rough(kind, shares) {
    const near = shares.map((share) => Math.round(share / ROUGH_STEP) * ROUGH_STEP);
    const steps = kind.steps.map((step) => (step === 0 ? 0 : SHARE_MAX));
    const key = `about ${keyOf(kind, near, steps)}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const { lifeMs, rows } = mixed(this.#nodes(kind, cornersOf(near, steps)));
    const motion = new Motion(lifeMs, rows);
    motion.rough = true;
    return this.#keep(key, motion);
  }

  #keep(key, motion) {
    if (this.#kept.size >= MOTIONS_MAX) this.#kept.delete(this.#kept.keys().next().value);
    this.#kept.set(key, motion);
    return motion;
  }

  #nodes(kind, corners) {
    const motions = this.#sampled(kind, corners.map(({ at }) => at));
    return corners.map(({ weight }, i) => ({ motion: motions[i], weight }));
  }

  /** The motions for these very shares, as the browser has them. */
  #sampled(kind, all) {
    const keys = all.map((shares) => keyOf(kind, shares, kind.steps));
    const found = new Map();
    const missing = new Map();
    keys.forEach((key, i) => {
      if (this.#kept.has(key)) found.set(key, this.#kept.get(key));
      else missing.set(key, all[i]);
    });
    const wanted = [...missing];
    for (let from = 0; from < wanted.length; from += PROBES_MAX) {
      const batch = wanted.slice(from, from + PROBES_MAX);
      const motions = this.#sample(kind, batch.map(([, shares]) => shares));
      batch.forEach(([key], i) => found.set(key, this.#keep(key, motions[i])));
    }
    return keys.map((key) => found.get(key));
  }

  /**
   * Samples what the sprites of a kind with these shares will need, many at once, for as long as
   * there is time.
   */
  prepare(kind, all) {
    if (!(kind.lifeMs > 0)) return;
    this.#known(kind);
    const nodes = new Map();
    for (const shares of all) {
      for (const { at } of cornersOf(shares, kind.steps)) {
        const key = keyOf(kind, at, kind.steps);
        if (!this.#kept.has(key)) nodes.set(key, at);
      }
    }
    const wanted = [...nodes.values()].slice(0, MOTIONS_MAX / 2);
    for (let from = 0; from < wanted.length && performance.now() < this.deadline; from += PROBES_MAX) {
      this.#sampled(kind, wanted.slice(from, from + PROBES_MAX));
    }
  }

  /** Finds out beforehand what the first sprite of a kind would have to wait for. */
  warmUp(kind) {
    if (kind.lifeMs > 0) this.#known(kind);
  }

  #known(kind) {
    if (kind.steps !== undefined) return;
    const from = performance.now();
    this.#learn(kind);
    this.deadline += performance.now() - from;
  }

  /** Finds how far apart the nodes of each variable may be. */
  #learn(kind) {
    const exact = this.#ranges.map(() => 1);
    kind.steps = exact;
    const isMixable = (places, steps) => {
      const corners = places.map((shares) => cornersOf(shares, steps));
      this.#sampled(kind, [...places, ...corners.flat().map(({ at }) => at)]);
      const wanted = this.#sampled(kind, places);
      return corners.every((nodes, i) => isLike(mixed(this.#nodes(kind, nodes)), wanted[i], kind.radiusPx));
    };
    let steps = this.#ranges.map((_, i) => {
      // The other variables are in no special place: at 0, say, this one might have no effect.
      const along = (share) => exact.map((_, j) => (i === j ? share : 27));
      const alone = (step) => exact.map((_, j) => (i === j ? step : 1));
      const [first, ...others] = this.#sampled(kind, [0, SHARE_MAX, 31, 14].map(along));
      if (others.every((other) => isLike(other, first, kind.radiusPx, 0))) return 0;
      return STEPS.find((step) => step === 1 || isMixable(looksAt(step).map(along), alone(step)));
    });
    // What holds along each variable may not hold for all at once.
    const somewhere = [5, 58, 23, 40].map((start) => exact.map((_, i) => (start + 19 * i) % (SHARE_MAX + 1)));
    const isOne = this.#ranges.length < 2;
    while (!isOne && steps.some((step) => step !== 1) && !isMixable(somewhere, steps)) {
      steps = steps.map((step) => STEPS[Math.min(STEPS.indexOf(step) + 1, STEPS.length - 1)]);
    }
    let mixable = 0;
    kind.steps = steps.map((step) => (step > 1 && ++mixable > MIXED_MAX ? 1 : step));
  }

  /** Puts a new probe into the page: one that had another class or other values would keep some. */
  #probe(kind, shares) {
    const probe = document.createElement('div');
    probe.className = kind.className;
    this.#ranges.forEach(({ name, at }, i) => probe.style.setProperty(name, at(shares[i] / SHARE_MAX)));
    if (kind.box === undefined) {
      probe.textContent = '❤️';
    } else {
      probe.style.width = `${kind.box.width}px`;
      probe.style.height = `${kind.box.height}px`;
    }
    this.#host.append(probe);
    return probe;
  }

  #measure(kind) {
    const probe = this.#probe(kind, this.#ranges.map(() => 31));
    const { animations, lifeMs, seek, style } = animated(probe);
    kind.lifeMs = lifeMs;
    kind.fontSizePx = parseFloat(style.fontSize);
    // Which edge of the box is tied to its container's: the one that stays where it is while the
    // box grows. Keyframes alone may say so.
    kind.x = 'auto';
    kind.y = 'bottom';
    for (const life of lifeMs > 0 ? [0, 0.5] : []) {
      seek(life);
      const left = parseFloat(style.left);
      const top = parseFloat(style.top);
      probe.style.padding = `0 ${GROWTH_PX}px ${GROWTH_PX}px 0`;
      if (Math.abs(parseFloat(style.left) - left) > GROWTH_PX / 2) kind.x = 'right';
      else if (kind.x === 'auto' && Math.abs(left - STATIC_LEFT_PX) > 1) kind.x = 'left';
      kind.y = Math.abs(parseFloat(style.top) - top) > GROWTH_PX / 2 ? 'bottom' : 'top';
      probe.style.padding = '';
    }
    kind.radiusPx = Math.max(parseFloat(style.width), parseFloat(style.height)) / 2;
    this.#clear([{ animations }]);
    return kind;
  }

  /** Samples several motions, whose probes are all seen to in one go: that is what costs. */
  #sample(kind, all) {
    this.#host.replaceChildren();
    const probes = all.map((shares) => this.#probe(kind, shares));
    // The browser styles them all here.
    const samplings = probes.map((probe) => ({ ...animated(probe), probe }));
    for (const sampling of samplings) sampling.steps = poses(sampling, kind);
    let going = samplings.filter((sampling) => (sampling.wanted = sampling.steps.next()).done === false);
    while (going.length > 0) {
      for (const { seek, wanted } of going) seek(wanted.value);
      going = going.filter((sampling) => (sampling.wanted = sampling.steps.next()).done === false);
    }
    this.#clear(samplings);
    return samplings.map(({ lifeMs, wanted: { value: rows } }) => {
      for (const row of rows) kind.scaleMax = Math.max(kind.scaleMax, scaleOf(row[4], row[5], row[6], row[7]));
      return new Motion(lifeMs, Float64Array.from(rows.flat()));
    });
  }

  /** An animation that is not cancelled stays on the document's timeline, and slows down all others. */
  #clear(samplings) {
    for (const { animations } of samplings) for (const animation of animations) animation.cancel();
    this.#host.replaceChildren();
  }
}

/** The animations of a probe, paused. */
function animated(probe) {
  const animations = probe.getAnimations();
  let lifeMs = 0;
  for (const animation of animations) {
    animation.pause();
    const { endTime, delay, duration } = animation.effect.getComputedTiming();
    lifeMs = Math.max(lifeMs, Number.isFinite(endTime) ? endTime : delay + duration);
  }
  const seek = (life) => {
    const ms = Math.max(0, Math.min(life * lifeMs, lifeMs - LAST_MS));
    for (const animation of animations) animation.currentTime = ms;
  };
  return { animations, lifeMs, seek, style: getComputedStyle(probe) };
}

/** Asks for the moments that are needed, one after the other, and gives the rows of a table in the end. */
function* poses({ animations, lifeMs, style }, { x: edgeX, y: edgeY, radiusPx }) {
  let origin;
  let size;
  let isOriginMoving;
  function* sample(life) {
    yield life;
    const [a, b, c, d, e, f] = elements(style.transform);
    if (origin === undefined || isOriginMoving) {
      isOriginMoving ??= animations.some(({ effect }) => effect.getKeyframes().some((keyframe) => 'transformOrigin' in keyframe));
      size ??= [parseFloat(style.width), parseFloat(style.height)];
      origin = style.transformOrigin.split(' ').map(parseFloat);
    }
    // From the transform's origin to the box's centre, and what becomes of that.
    const x = size[0] / 2 - origin[0];
    const y = size[1] / 2 - origin[1];
    const left = edgeX === 'auto' ? 0 : parseFloat(style[edgeX]);
    return [
      life, left, parseFloat(style[edgeY]), Math.min(1, Math.max(0, parseFloat(style.opacity))),
      a, b, c, d, a * x + c * y - x + e, b * x + d * y - y + f,
    ];
  }
  const rows = [yield* sample(0)];
  for (const life of intervalEnds(animations, lifeMs)) {
    // The ends of the intervals to go, the next one last.
    const ends = [yield* sample(life)];
    while (ends.length > 0) {
      const from = rows[rows.length - 1];
      const to = ends[ends.length - 1];
      const isClose = (to[0] - from[0]) * lifeMs <= STEP_MIN_MS;
      const middle = isClose ? from.map((value, i) => (value + to[i]) / 2) : yield* sample((from[0] + to[0]) / 2);
      let isGood = true;
      for (const share of isClose ? [] : LOOK_AT) {
        const row = yield* sample(from[0] + (to[0] - from[0]) * share);
        isGood &&= isOnCurve(from, middle, to, share, row, radiusPx);
        if (!isGood) break;
      }
      if (isGood) rows.push(middle, ends.pop());
      else ends.push(middle);
    }
  }
  return rows;
}

/** How many times as long a matrix makes what it makes longest. */
export function scaleOf(a, b, c, d) {
  const sum = a * a + b * b + c * c + d * d;
  const determinant = a * d - b * c;
  return Math.sqrt((sum + Math.sqrt(Math.max(0, sum * sum - 4 * determinant * determinant))) / 2);
}

/** The classes of a sprite. */
export function className(reaction) {
  return reaction === '' ? 'animated-emoji' : `animated-emoji reaction-${reaction}`;
}

/** Where it is looked whether nodes so far apart will do: in the middle of some of the cells. */
function looksAt(step) {
  if (step === SHARE_MAX) return [14, 31];
  return [0, 0.5, 0.99].map((place) => Math.floor((place * SHARE_MAX) / step) * step + (step >> 1));
}

/** A variable without effect (step 0) makes no difference. */
function keyOf(kind, shares, steps) {
  return `${kind.key}/${shares.map((share, i) => (steps[i] === 0 ? 0 : share)).join()}`;
}

/** The nodes around a place, and how much of each is in it: 2 for each variable that is between two. */
function cornersOf(shares, steps) {
  let corners = [{ at: [], weight: 1 }];
  let mixable = 0;
  shares.forEach((share, i) => {
    const step = steps[i];
    const low = step === 0 ? 0 : Math.floor(share / step) * step;
    const part = step === 0 ? 0 : (share - low) / step;
    if (part > 0 && ++mixable <= MIXED_MAX) {
      corners = corners.flatMap(({ at, weight }) => [
        { at: [...at, low], weight: weight * (1 - part) },
        { at: [...at, low + step], weight: weight * part },
      ]);
    } else {
      const near = part > 0.5 ? low + step : low;
      for (const corner of corners) corner.at.push(near);
    }
  });
  return corners;
}

/** The weighted mean of motions. */
function mixed(parts) {
  if (parts.length === 1) return parts[0].motion;
  let lifeMs = 0;
  for (const { motion, weight } of parts) lifeMs += motion.lifeMs * weight;
  const first = parts[0].motion.rows;
  const isAlike = parts.every(({ motion: { rows } }) => {
    if (rows.length !== first.length) return false;
    for (let i = 0; i < rows.length; i += ROW_LENGTH) if (rows[i] !== first[i]) return false;
    return true;
  });
  if (isAlike) {
    const rows = new Float64Array(first.length);
    for (const { motion, weight } of parts) {
      const its = motion.rows;
      for (let i = 0; i < rows.length; i++) rows[i] += its[i] * weight;
    }
    for (let i = 0; i < rows.length; i += ROW_LENGTH) rows[i] = first[i];
    return new Motion(lifeMs, rows);
  }
  const ends = new Set();
  for (const { motion: { rows } } of parts) for (let i = 0; i < rows.length; i += 2 * ROW_LENGTH) ends.add(rows[i]);
  const lives = [...ends].sort((a, b) => a - b).flatMap((end, i, all) => (i === 0 ? [end] : [(all[i - 1] + end) / 2, end]));
  const pose = newPose();
  const rows = new Float64Array(lives.length * ROW_LENGTH);
  lives.forEach((life, row) => {
    const start = row * ROW_LENGTH;
    rows[start] = life;
    for (const { motion, weight } of parts) {
      motion.at(life, pose);
      for (let i = 0; i < POSE_LENGTH; i++) rows[start + 1 + i] += pose[i] * weight;
    }
  });
  return new Motion(lifeMs, rows);
}

/** Whether two motions are one, but for so many times the error of a sampled one. */
function isLike(one, other, radiusPx, errors = MIXED_ERRORS) {
  if (Math.abs(one.lifeMs - other.lifeMs) > 0.01) return false;
  const [a, b] = [newPose(), newPose()];
  for (let i = 0; i < 32; i++) {
    const life = (i + 0.37) / 32;
    one.at(life, a);
    other.at(life, b);
    if (!isNear(a.map((value, j) => value - b[j]), radiusPx, errors + 1e-6)) return false;
  }
  return true;
}

function isOnCurve(from, middle, to, share, row, radiusPx) {
  return isNear(row.map((value, i) => value - onCurve(from[i], middle[i], to[i], share)).slice(1), radiusPx, 1);
}

function isNear([x, y, opacity, a, b, c, d, e, f], radiusPx, errors) {
  const turned = Math.max(Math.abs(a), Math.abs(b), Math.abs(c), Math.abs(d)) * radiusPx;
  return Math.max(Math.abs(x), Math.abs(y), turned, Math.abs(e), Math.abs(f)) < ERROR_PX * errors
    && Math.abs(opacity) < ERROR_OPACITY * errors;
}

/** Where to sample: an even grid and the keyframes, as shares of life, after 0 and up to 1, rising. */
function intervalEnds(animations, lifeMs) {
  const ends = new Set([1]);
  let intervals = INTERVALS;
  for (const { effect } of animations) {
    const { delay, duration, iterations } = effect.getComputedTiming();
    for (let i = 0; i < Math.min(iterations, INTERVALS_POINTS); i++) {
      for (const { computedOffset, easing } of effect.getKeyframes()) {
        ends.add((delay + duration * (i + computedOffset)) / lifeMs);
        if (easing.startsWith('linear(')) intervals = INTERVALS_POINTS;
      }
    }
    ends.add((delay + duration * iterations) / lifeMs);
  }
  for (let i = 1; i < intervals; i++) ends.add(i / intervals);
  return [...ends].filter((life) => life > 0 && life <= 1).sort((a, b) => a - b);
}

/** The elements of a computed `transform`. */
function elements(transform) {
  if (transform === 'none') return [1, 0, 0, 1, 0, 0];
  if (transform.startsWith('matrix(')) return transform.slice(7, -1).split(',').map(Number);
  const { a, b, c, d, e, f } = new DOMMatrix(transform);
  return [a, b, c, d, e, f];
}
