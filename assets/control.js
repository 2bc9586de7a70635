// The control page: a channel's picture over a checkerboard, how often each emoji comes, how its
// sources stand, and what an operator may do. All that it does is in docs/http.md for other programs.

const EVERY_MS = 1000;
/** Rates are of so many seconds. */
const RATE_SECONDS = 10;
const KEY = 'floatup-control-key';
const OVERFLOWS = ['retire-oldest', 'drop-newest', 'aggregate', 'queue'];

const byId = (id) => document.getElementById(id);
const channelOf = byId('channel');
const keyOf = byId('key');

/** Reactions of the last seconds: {at, emoji, count}, oldest first. */
let seen = [];
let events;
/** The settings as they were shown last; a change that is under way is not overwritten. */
let shown = '';

keyOf.value = sessionStorage.getItem(KEY) ?? '';
keyOf.addEventListener('change', () => {
  sessionStorage.setItem(KEY, keyOf.value);
  shown = '';
  look();
});
channelOf.addEventListener('change', choose);
for (const button of document.querySelectorAll('[data-action]')) {
  button.addEventListener('click', () => act(button.dataset.action));
}
byId('burst').addEventListener('submit', (event) => {
  event.preventDefault();
  const { reaction, count } = event.target.elements;
  act(`burst?reaction=${encodeURIComponent(reaction.value)}&count=${encodeURIComponent(count.value)}`);
});

await begin();
setInterval(look, EVERY_MS);

async function begin() {
  const [{ channels }, palette] = await Promise.all([get('api/channels'), get('palette.json')]);
  const asked = new URLSearchParams(location.search).get('channel');
  channelOf.replaceChildren(...channels.map((name) => new Option(name, name, false, name === asked)));
  byId('burst').elements.reaction.replaceChildren(...palette.map(({ name, emoji }) => new Option(`${emoji} ${name}`, name)));
  await choose();
}

async function choose() {
  const name = encodeURIComponent(channelOf.value);
  byId('preview').src = `overlay/${name}`;
  events?.close();
  seen = [];
  shown = '';
  events = new EventSource(`channels/${name}/events`);
  events.addEventListener('reactions', ({ data }) => {
    const at = performance.now();
    for (const { emoji, count } of JSON.parse(data).reactions) seen.push({ at, emoji, count });
  });
  await look();
}

/** Shows how everything stands. */
async function look() {
  showRates();
  try {
    const channel = await get(`api/channels/${encodeURIComponent(channelOf.value)}`);
    byId('state').textContent = `${channel.paused ? 'Paused' : 'On'}, ${channel.sprites} sprites`;
    document.documentElement.dataset.paused = channel.paused;
    byId('sources').replaceChildren(...channel.sources.map(({ source, state, why, accepted }) =>
      row(source, why === '' ? state : `${state}: ${why}`, String(accepted))));
    showSettings(channel.settings);
  } catch (error) {
    say(error.message, true);
  }
}

function showRates() {
  const first = performance.now() - RATE_SECONDS * 1000;
  seen = seen.filter(({ at }) => at >= first);
  const sums = new Map();
  for (const { emoji, count } of seen) sums.set(emoji, (sums.get(emoji) ?? 0) + count);
  const sorted = [...sums].sort(([, a], [, b]) => b - a);
  const most = sorted[0]?.[1] ?? 1;
  byId('rates').replaceChildren(...sorted.map(([emoji, sum]) => {
    const meter = document.createElement('meter');
    meter.max = most;
    meter.value = sum;
    return row(emoji, meter, (sum / RATE_SECONDS).toFixed(1));
  }));
}

/** Undefined for who isn't let in to change them. */
function showSettings(settings) {
  const text = JSON.stringify(settings ?? null);
  const form = byId('settings');
  if (text === shown || form.contains(document.activeElement)) return;
  shown = text;
  if (settings === undefined) {
    form.replaceChildren('The control key is needed to see and change them.');
    return;
  }
  form.replaceChildren(...Object.entries(settings).flatMap(([name, value]) => {
    const field = fieldOf(name, value);
    field.id = `setting-${name}`;
    field.name = name;
    field.addEventListener('change', () => change(name, valueOf(field, value)));
    const label = document.createElement('label');
    label.htmlFor = field.id;
    label.textContent = name;
    return [label, field];
  }));
}

function fieldOf(name, value) {
  if (name === 'overflow') {
    const select = document.createElement('select');
    select.replaceChildren(...OVERFLOWS.map((word) => new Option(word, word, false, word === value)));
    return select;
  }
  const field = document.createElement('input');
  if (typeof value === 'boolean') {
    field.type = 'checkbox';
    field.checked = value;
  } else {
    field.value = Array.isArray(value) ? value.join(', ') : value ?? '';
    field.placeholder = 'none';
  }
  return field;
}

/** What a field says, in the form that the setting has. */
function valueOf(field, before) {
  if (field.type === 'checkbox') return field.checked;
  const text = field.value.trim();
  if (Array.isArray(before)) return text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  return text === '' ? null : text;
}

async function change(name, value) {
  shown = '';
  await ask('PATCH', '', `${name} is set`, JSON.stringify({ [name]: value }));
}

async function act(action) {
  await ask('POST', `/${action}`, `${action.split('?')[0]}: done`);
}

async function ask(method, path, done, body) {
  const headers = keyOf.value === '' ? {} : { 'X-Floatup-Key': keyOf.value };
  try {
    const answer = await fetch(`api/channels/${encodeURIComponent(channelOf.value)}${path}`, { method, headers, body });
    const error = answer.ok ? undefined : (await answer.json()).message;
    say(error ?? done, error !== undefined);
  } catch (error) {
    say(error.message, true);
  }
  document.activeElement?.blur();
  await look();
}

async function get(path) {
  const headers = keyOf.value === '' ? {} : { 'X-Floatup-Key': keyOf.value };
  const answer = await fetch(path, { headers });
  if (!answer.ok) throw new Error(`${path}: answer ${answer.status}`);
  return answer.json();
}

function say(text, isBad) {
  const said = byId('said');
  said.textContent = text;
  said.toggleAttribute('data-bad', isBad);
}

/** A table's row: what is last is a number. */
function row(...cells) {
  const made = document.createElement('tr');
  cells.forEach((cell, n) => {
    const data = document.createElement('td');
    if (n === cells.length - 1) data.className = 'number';
    data.append(cell);
    made.append(data);
  });
  return made;
}
