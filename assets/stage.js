// Messages that stand for many: how many sprites a count asks for, and when each comes on.
//
// The renderer does the same: see src/stage/batch.rs.

/** Every reaction up to so many in one message has a sprite of its own. */
const EACH_MAX = 10;

/**
 * How many sprites stand for so many reactions of one message: each for itself up to ten, and
 * `10 + 10 ln(count / 10)` rounded down beyond that.
 *
 * @param {number} count an integer of 0 or more
 */
export function shown(count) {
  return count <= EACH_MAX ? count : EACH_MAX + Math.floor(EACH_MAX * Math.log(count / EACH_MAX));
}

/** How far apart messages of several sprites come. */
export class Batches {
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
