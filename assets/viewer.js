// The viewer page: /?videoId=NAME, with ?video=ADDRESS for something to watch.
//
// Text from outside (the address, the topic, the service) reaches the page as textContent alone.

import { Chat } from './chat.js';
import { Palette } from './palette.js';
import { SpriteLayer } from './sprites.js';
import { Topic, topicNameFault } from './topic.js';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const videoId = query.get('videoId') || 'demo';

const STATES = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', refused: 'Refused' };

byId('stream').textContent = videoId;
document.title = `${videoId} · floatup`;
setUpVideo();

const fault = topicNameFault(videoId);
if (fault === undefined) await start();
else showState('refused', `No video can have this name: ${fault}.`);

async function start() {
  const layer = new SpriteLayer(byId('sprites'));
  await layer.ready;
  const entries = await fetchPalette();
  const palette = new Palette(entries);
  // Pictures come when they can; nothing waits for them.
  layer.usePalette(entries, new URL('./', location.href)).catch((error) => console.warn('floatup: palette:', error));
  const topic = new Topic(videoId, {
    onItem: ({ page, sequence, text }) => layer.spawn({ page, sequence, reactions: palette.decode(text) }),
    onRetraction: (items) => layer.retract(items),
    onState: showState,
  });
  setUpReactions(topic, palette);
  new Chat(videoId, topic, byId('chat')).follow();
  await topic.follow();
}

/** Asks until the service is there: without the palette nothing may be shown. */
async function fetchPalette() {
  for (;;) {
    try {
      const response = await fetch('palette.json');
      if (response.ok) return await response.json();
    } catch {
      // Not there yet, or cut off: asked again below.
    }
    showState('reconnecting', 'the service can’t be reached');
    await new Promise((resolve) => setTimeout(resolve, 1000 + Math.random() * 1000));
  }
}

function setUpReactions(topic, palette) {
  const buttons = [];
  for (const button of byId('reactions').querySelectorAll('button')) {
    const name = button.dataset.reaction;
    const emoji = palette.find(name);
    // A service with another palette would not show it.
    button.hidden = emoji === undefined;
    button.disabled = false;
    if (emoji === undefined) continue;
    button.querySelector('.emoji').textContent = emoji;
    button.addEventListener('click', () => send(topic, name));
    buttons.push(button);
  }
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input, textarea, select');
    if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = buttons.find((one) => one.getAttribute('aria-keyshortcuts') === event.key);
    if (!button) return;
    button.classList.add('sent');
    button.click();
  });
  document.addEventListener('keyup', () => buttons.forEach((button) => button.classList.remove('sent')));
}

async function send(topic, name) {
  try {
    await topic.publish(name);
    showNotice('');
  } catch (error) {
    showNotice(`Your reaction was not sent: ${error.message}`);
  }
}

function setUpVideo() {
  const video = byId('video');
  video.addEventListener('error', () => showNotice('This video can’t be played: the address is wrong, or the browser doesn’t know the format.'));
  const field = byId('video-address');
  field.value = query.get('video') ?? '';
  if (field.value !== '') play(field.value);
  byId('address').addEventListener('submit', (event) => {
    event.preventDefault();
    const address = field.value.trim();
    if (!play(address)) return;
    const here = new URL(location.href);
    if (address === '') here.searchParams.delete('video');
    else here.searchParams.set('video', address);
    history.replaceState(null, '', here);
  });
}

/** Plays an address, or goes back to the backdrop when it is empty. False when it can't be one. */
function play(address) {
  const video = byId('video');
  const url = address === '' ? null : parseUrl(address);
  if (address !== '' && !['http:', 'https:'].includes(url?.protocol)) {
    showNotice('That is no video address: it begins with https:// or http://, or is a path on this server.');
    return false;
  }
  showNotice('');
  video.hidden = url === null;
  byId('backdrop').hidden = url !== null;
  if (url === null) {
    video.removeAttribute('src');
    // Only now does it stop.
    video.load();
  } else {
    video.src = url.href;
  }
  return true;
}

function parseUrl(address) {
  try {
    return new URL(address, location.href);
  } catch {
    return undefined;
  }
}

function showState(state, why) {
  const status = byId('status');
  if (status.dataset.state === 'refused' && state !== 'refused') showNotice('');
  status.dataset.state = state;
  status.textContent = STATES[state];
  status.title = why ?? '';
  // What is refused stays so until someone does something about it; the rest passes.
  if (state === 'refused') showNotice(why);
}

function showNotice(text) {
  byId('notice').textContent = text;
}
