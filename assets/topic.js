// One topic over HTTP, as a viewer uses it: a token, a long poll that resumes, and publishing.
//
// Times out, backs off and renews by itself. Nothing published while a poll is being renewed is
// lost, because each poll names the next sequence number and the page that it is of.

const CACHE = 'video';
/** Tokens last 30 minutes; renewed this much earlier, so that no poll ends in the middle. */
const TOKEN_AGE_MAX_MS = 25 * 60 * 1000;
/** The service answers a poll within about 25 s, so this is a connection that died unseen. */
const POLL_TIMEOUT_MS = 90_000;
const REQUEST_TIMEOUT_MS = 15_000;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/** Reactions on their way at once; more are turned away, so that a held key can't pile them up. */
const PUBLISHING_MAX = 16;

/** An answer that says no: the token, the topic or the rate. */
class Refused extends Error {}

/**
 * Why a name can't be a topic's, or undefined when it can.
 *
 * @param {string} name
 */
export function topicNameFault(name) {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes < 1 || bytes > 256) return `it is ${bytes} bytes long, and 1 to 256 are accepted`;
  if (/[/\\\p{Cc}]/u.test(name) || name === '.' || name === '..') return 'it may hold no slash, backslash or control character, and not be “.” or “..”';
  return undefined;
}

/** Follows and publishes to one topic. */
export class Topic {
  #topic;
  #playerId;
  #onItem;
  #onRetraction;
  #onState;
  #token;
  #renewed = false;
  #next = {};
  #publishing = 0;

  /**
   * @param {string} topic a name that {@link topicNameFault} has nothing against
   * @param {object} handlers
   * @param {(item: {page: number, sequence: number, text: string}) => void} handlers.onItem
   * @param {(items: {page: number, sequences: number[]}) => void} handlers.onRetraction items that are taken back
   * @param {(state: 'connecting' | 'live' | 'reconnecting' | 'refused', why?: string) => void} handlers.onState
   */
  constructor(topic, { onItem, onRetraction, onState }) {
    this.#topic = topic;
    this.#playerId = randomId();
    this.#onItem = onItem;
    this.#onRetraction = onRetraction;
    this.#onState = onState;
  }

  /** Who this page publishes as. */
  get playerId() {
    return this.#playerId;
  }

  /** The token in hand, or a new one. */
  token() {
    return this.#usableToken();
  }

  /** Follows the topic from its latest item on, for as long as the page is open. */
  async follow() {
    this.#onState('connecting');
    for (let failures = 0; ;) {
      try {
        await this.#usableToken();
        // The token came, so the service is there; a poll alone says nothing while it is held.
        this.#onState('live');
        await this.#poll();
        failures = 0;
      } catch (error) {
        // A token that has been refused, or is of a service that has since been started anew.
        this.#token = undefined;
        if (error instanceof Refused) this.#onState('refused', error.message);
        else this.#onState('reconnecting', error.message);
        await pause(failures++);
      }
    }
  }

  /**
   * Publishes one reaction.
   *
   * @param {string} text its name
   * @throws {Error} when it did not arrive; the message is for the viewer
   */
  async publish(text) {
    if (this.#publishing >= PUBLISHING_MAX) throw new Error('too many at once, wait a moment');
    this.#publishing++;
    try {
      let response = await this.#post(text);
      if (response.status === 401) {
        this.#token = undefined;
        response = await this.#post(text);
      }
      if (!response.ok) throw new Error(await reason(response));
    } finally {
      this.#publishing--;
    }
  }

  async #post(text) {
    const token = await this.#usableToken();
    return request(this.#path(), {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain', Authorization: token },
      body: text,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  }

  async #poll() {
    const query = new URLSearchParams();
    if (this.#next.sequence !== undefined) query.set('sequence_number', this.#next.sequence);
    if (this.#next.page !== undefined) query.set('sequence_page', this.#next.page);
    const response = await request(`${this.#path()}?${query}`, {
      headers: { Authorization: await this.#usableToken() },
      signal: AbortSignal.timeout(POLL_TIMEOUT_MS),
    });
    if (response.status === 401 && !this.#renewed) {
      // It ran out while the computer slept, or its key is gone: worth one new token.
      this.#token = undefined;
      this.#renewed = true;
      return;
    }
    if ([401, 403].includes(response.status)) throw new Refused(await reason(response));
    if (!response.ok) throw new Error(await reason(response));
    this.#renewed = false;
    if (response.status === 204) return;
    const { items } = await response.json();
    for (const entry of items) this.#take(entry);
  }

  #take({ item, discontinuity }) {
    if (discontinuity) {
      const { new_topic_sequence: sequence, new_sequence_page: page } = discontinuity;
      this.#next = { sequence, page: page ?? this.#next.page };
    }
    if (!item) return;
    const { topic_sequence_number: sequence, sequence_page: page = 0, value, retraction } = item;
    if (page === this.#next.page && sequence < this.#next.sequence) return;
    this.#next = { sequence: sequence + 1, page };
    if (Array.isArray(retraction)) this.#onRetraction({ page, sequences: retraction });
    else if (typeof value?.text === 'string') this.#onItem({ page, sequence, text: value.text });
  }

  /** The token in hand, or a new one; callers at the same time share one request. */
  async #usableToken() {
    if (this.#token === undefined || Date.now() - this.#token.fetchedAt > TOKEN_AGE_MAX_MS) {
      const token = { fetchedAt: Date.now(), text: this.#fetchToken() };
      this.#token = token;
      token.text.catch(() => {
        if (this.#token === token) this.#token = undefined;
      });
    }
    return this.#token.text;
  }

  async #fetchToken() {
    const response = await request('tokens', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ playerId: this.#playerId, streamId: this.#topic }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if ([401, 403].includes(response.status)) throw new Refused(await reason(response));
    if (!response.ok) throw new Error(await reason(response));
    const { token } = await response.json();
    if (typeof token !== 'string') throw new Error('the service gave no token');
    return token;
  }

  #path() {
    return `topics/${CACHE}/${encodeURIComponent(this.#topic)}`;
  }
}

export async function request(path, options) {
  try {
    return await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    throw new Error(error.name === 'TimeoutError' ? 'the service does not answer' : 'the service can’t be reached');
  }
}

/** What an error answer says, in a line. */
export async function reason(response) {
  const text = await response.text();
  let message = text;
  try {
    message = JSON.parse(text).message ?? text;
  } catch {
    // Not JSON: taken as it is.
  }
  return `${String(message).trim().slice(0, 200) || 'no reason given'} (${response.status})`;
}

/** Exponential, with half of it random, so that many viewers don't come back at the same moment. */
export function pause(failures) {
  const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10));
  return new Promise((resolve) => setTimeout(resolve, ms / 2 + (Math.random() * ms) / 2));
}

/** `crypto.randomUUID` is missing where the page is not from https or from this computer. */
function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
