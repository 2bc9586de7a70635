// Topic payloads, decoded as the service decodes them (src/reaction.rs), so that this page shows
// what the rendered frames show. The palette is the allow-list: what it doesn't name draws nothing.

/** At most this many sprites are asked for by one payload, whatever counts it carries. */
const SPRITES_PER_PAYLOAD_MAX = 1000;
/** At most this many emoji are read from one payload that is written in emoji. */
const EMOJI_PER_PAYLOAD_MAX = 8;

const NAMING_KEYS = ['emoji', 'reaction', 'name', 'value', 'text'];

/** The reactions that are allowed. */
export class Palette {
  #byName = new Map();
  #byEmoji = new Map();

  /** @param {{name: string, emoji: string}[]} entries what /palette.json gives */
  constructor(entries) {
    for (const { name, emoji } of entries) {
      this.#byName.set(fold(name), emoji);
      if (!this.#byEmoji.has(plain(emoji))) this.#byEmoji.set(plain(emoji), emoji);
    }
  }

  /**
   * The emoji that a name or an emoji stands for: `heart`, `Thumbs Up`, `:fire:`, `❤`.
   *
   * @returns {string | undefined}
   */
  find(name) {
    const text = name.trim();
    return this.#byEmoji.get(plain(text)) ?? this.#byName.get(fold(text));
  }

  /**
   * The reactions of one payload, in order; none when it is no reaction.
   *
   * @returns {{emoji: string, count: number}[]}
   */
  decode(payload) {
    const text = payload.trim();
    if (text.startsWith('{')) return this.#decodeObject(parse(text));
    const emoji = this.find(text);
    if (emoji !== undefined) return [{ emoji, count: 1 }];
    const found = graphemes(text).map((cluster) => this.#byEmoji.get(plain(cluster)));
    if (found.length > EMOJI_PER_PAYLOAD_MAX || found.includes(undefined)) return [];
    const counts = new Map();
    for (const one of found) counts.set(one, (counts.get(one) ?? 0) + 1);
    return [...counts].map(([one, count]) => ({ emoji: one, count }));
  }

  #decodeObject(object) {
    const kind = [object.type, object.event].find((value) => value !== undefined);
    if (typeof kind === 'string' && kind.toLowerCase() !== 'reaction') return [];
    const named = NAMING_KEYS.map((key) => object[key]).find((value) => typeof value === 'string');
    if (named !== undefined) {
      const emoji = this.find(named);
      const count = object.count ?? 1;
      if (emoji === undefined || !isCount(count) || count === 0) return [];
      return [{ emoji, count: Math.min(count, SPRITES_PER_PAYLOAD_MAX) }];
    }
    const counts = new Map();
    let left = SPRITES_PER_PAYLOAD_MAX;
    for (const [name, wanted] of sorted(isObject(object.r) ? object.r : object)) {
      const emoji = this.find(name);
      if (emoji === undefined || !isCount(wanted)) continue;
      const count = Math.min(wanted, left);
      left -= count;
      if (count > 0) counts.set(emoji, (counts.get(emoji) ?? 0) + count);
    }
    return [...counts].map(([emoji, count]) => ({ emoji, count }));
  }
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value) {
  return Number.isInteger(value) && value >= 0;
}

/** By code point, the order of the service's map: sprites are numbered in this order. */
function sorted(object) {
  const points = (text) => Array.from(text, (c) => c.codePointAt(0));
  return Object.entries(object).map(([name, count]) => [name, count, points(name)])
    .sort(([, , a], [, , b]) => {
      const i = a.findIndex((point, at) => point !== b[at]);
      return i === -1 ? a.length - b.length : a[i] - (b[i] ?? -1);
    });
}

/** Case and punctuation don't count in names. */
function fold(name) {
  return name.replace(/[^\p{Alphabetic}\p{N}]/gu, '').toLowerCase();
}

/** The emoji presentation selector doesn't count: `❤` is `❤️`. */
function plain(emoji) {
  return emoji.replaceAll('\u{fe0f}', '');
}

function graphemes(text) {
  return Array.from(new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text), ({ segment }) => segment);
}
