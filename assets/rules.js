// What the page must read from the stylesheet itself, because no computed style tells it: the
// ranges of sprites' variables, and which reactions have rules of their own.

/** Greater numbers are refused, as the renderer does. */
const NUMBER_MAX = 1e6;
/** None is the end of a later one. */
const UNITS = ['px', 'em', '%', 'vw', 'vh', 'deg', 'rad', 'turn', 'ms', 's', ''];
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/;
/** A range's custom property; the variable is what it begins with. */
const RANGE = /^(--.+)-range$/s;
const CLASS = '.animated-emoji';
const REACTION = /\.reaction-((?:[\p{L}\p{N}_-]|\\.)+)/gu;

/**
 * The range of a variable, written as `10px..29px` (the grammar is src/motion/range.rs).
 *
 * @returns {((share: number) => string) | undefined} the value for a share of 0 ..= 1, as CSS
 */
export function parseRange(text) {
  const dots = text.indexOf('..');
  if (dots === -1 || text.includes('...')) return undefined;
  const from = quantity(text.slice(0, dots));
  const to = quantity(text.slice(dots + 2));
  if (from === undefined || to === undefined || from.unit !== to.unit) return undefined;
  return (share) => `${from.number + share * (to.number - from.number)}${from.unit}`;
}

function quantity(text) {
  const lower = text.trim().toLowerCase();
  const unit = UNITS.find((name) => lower.endsWith(name));
  const digits = lower.slice(0, lower.length - unit.length);
  const number = Number(digits);
  return NUMBER.test(digits) && Math.abs(number) <= NUMBER_MAX ? { number, unit } : undefined;
}

/**
 * The ranges that the document's stylesheets give to variables, by name, and the reactions that
 * they name in classes `reaction-NAME`.
 *
 * What can't be read or understood is logged and passed over.
 *
 * @param {Document} from
 * @param {(message: string) => void} warn
 * @returns {{ranges: {name: string, lane: string, at: (share: number) => string}[], reactions: Set<string>}}
 *   `name` is the variable with its dashes, `lane` without
 */
export function readRules(from, warn) {
  const texts = new Map();
  const reactions = new Set();
  const visit = (sheet) => {
    let rules;
    try {
      rules = sheet.cssRules;
    } catch {
      warn(`the stylesheet ${sheet.href} is of another site and can't be read; what it says about --…-range and .reaction-… is not known`);
      return;
    }
    walk(rules);
  };
  const walk = (rules) => {
    for (const rule of rules) {
      if (rule.selectorText !== undefined) {
        take(rule);
      } else if (rule.styleSheet) {
        visit(rule.styleSheet);
      } else if (rule.cssRules && !(rule instanceof CSSKeyframesRule)) {
        if (rule instanceof CSSMediaRule && !matchMedia(rule.media.mediaText).matches) continue;
        walk(rule.cssRules);
      }
    }
  };
  const take = ({ selectorText, style }) => {
    for (const [, name] of selectorText.matchAll(REACTION)) reactions.add(name.replace(/\\(.)/g, '$1'));
    if (!selectorText.split(',').every((selector) => selector.trim() === CLASS)) return;
    for (const property of style) {
      const [, name] = RANGE.exec(property) ?? [];
      if (name !== undefined) texts.set(name, style.getPropertyValue(property).trim());
    }
  };
  for (const sheet of from.styleSheets) if (!sheet.disabled) visit(sheet);

  const ranges = [];
  for (const [name, text] of [...texts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [, , inside] = /^(["'])(.*)\1$/s.exec(text) ?? [];
    const at = inside === undefined ? undefined : parseRange(inside);
    if (at === undefined) warn(`${name}-range is ${text}; expected a string such as "10px..29px"`);
    else ranges.push({ name, lane: name.slice(2), at });
  }
  return { ranges, reactions };
}
