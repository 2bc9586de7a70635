// The browser source: one channel's reactions over nothing.
//
// Served as /overlay/{channel}, or opened as a local file that names service and channel in
// `data-service` and `data-channel` of its <html>; such a file can be open before the service is.

import { SpriteLayer } from './sprites.js';

const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 5000;
const REQUEST_TIMEOUT_MS = 15_000;

const layer = new SpriteLayer(document.getElementById('sprites'));

/** The last item shown, and the event id to go on from. */
let last = { page: -1, sequence: -1 };
let lastEventId = '';
let failures = 0;

await layer.ready;
follow();

function follow() {
  const url = eventsUrl();
  if (lastEventId !== '') url.searchParams.set('last_event_id', lastEventId);
  const events = new EventSource(url);
  events.onopen = () => {
    failures = 0;
    setState('live');
    usePalette();
  };
  events.addEventListener('hello', note);
  events.addEventListener('gap', note);
  events.addEventListener('reactions', (event) => {
    note(event);
    show(event.data);
  });
  events.addEventListener('retraction', (event) => {
    note(event);
    retract(event.data);
  });
  events.addEventListener('clear', () => layer.clear());
  events.addEventListener('settings', (event) => setLimits(event.data));
  events.onerror = () => {
    setState('reconnecting');
    // A dropped connection is taken up again by the EventSource itself, with Last-Event-ID.
    // After an answer that is no event stream (a proxy's 502, say) it gives up, so begin anew.
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(follow, backoffMs(failures++));
  };
}

/** Whenever the connection comes up: it may be another service's by then. */
async function usePalette() {
  try {
    const response = await fetch(new URL('palette.json', serviceUrl()), { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`answer ${response.status}`);
    await layer.usePalette(await response.json(), serviceUrl());
  } catch (error) {
    // All sprites stay plain, or as they were.
    console.info('floatup: palette:', error);
  }
}

function note({ lastEventId: id }) {
  if (id !== '') lastEventId = id;
}

function show(data) {
  let item;
  try {
    item = JSON.parse(data);
  } catch (error) {
    console.error('floatup: an event that is no JSON:', error);
    return;
  }
  // What is sent again after a reconnection has been shown already.
  if (item.page === last.page && item.sequence <= last.sequence) return;
  last = { page: item.page, sequence: item.sequence };
  layer.spawn(item);
  document.documentElement.dataset.sequence = item.sequence;
}

function retract(data) {
  try {
    layer.retract(JSON.parse(data));
  } catch (error) {
    console.error('floatup: an event that is no retraction:', error);
  }
}

function setLimits(data) {
  try {
    layer.setLimits(JSON.parse(data));
  } catch (error) {
    console.error('floatup: an event that is no settings:', error);
  }
}

/** How far the page is, for a custom stylesheet or a look from outside: <html data-state="live" data-sequence="7">. */
function setState(state) {
  document.documentElement.dataset.state = state;
}

/** Exponential, with half of it random, so that many pages don't come back at the same moment. */
function backoffMs(failures) {
  const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10));
  return ms / 2 + (Math.random() * ms) / 2;
}

function eventsUrl() {
  const { channel } = document.documentElement.dataset;
  // The name stays percent-encoded as it stands in the address.
  const name = channel === undefined ? location.pathname.replace(/\/+$/, '').split('/').pop() : encodeURIComponent(channel);
  return new URL(`channels/${name}/events`, serviceUrl());
}

/** Where the service is, whose path is kept: it may be a proxy's. */
function serviceUrl() {
  const { service } = document.documentElement.dataset;
  if (service === undefined) return new URL('../', location.href);
  return new URL(service.endsWith('/') ? service : `${service}/`);
}
