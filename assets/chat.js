// The chat beside the player: one room over a WebSocket, in the words of Amazon IVS Chat.
//
// Text from others reaches the page as textContent alone. A session that ends, by its time or by
// a lost connection, is followed by another with a token of its own; to be disconnected is not.

import { pause, reason, request } from './topic.js';

const REQUEST_TIMEOUT_MS = 15_000;
/** Messages kept in the page; the oldest makes room. */
const MESSAGES_MAX = 200;
/** Messages remembered in case they are refused: those of a second, which is long enough. */
const SENT_MAX = 10;
/** The service says a session is over by a close with this code, and means it. */
const DISCONNECTED = 1000;
const TOKEN_EXPIRED = 401;

/** There is no room to chat in. */
class NoRoom extends Error {}

/** The chat of one stream, in its section of the page. */
export class Chat {
  #stream;
  #topic;
  #section;
  #list;
  #name;
  #text;
  #notice;
  #send;
  #socket;
  /** The name as it was last entered, and the one of the token. */
  #wanted = '';
  #joined = '';
  #requests = 0;
  /** The texts of the last messages sent, by their requests' ids, to be put back if refused. */
  #sent = new Map();

  /**
   * @param {string} stream its topic's name
   * @param {import('./topic.js').Topic} topic whose token and player it uses
   * @param {HTMLElement} section hidden until there is a room
   */
  constructor(stream, topic, section) {
    this.#stream = stream;
    this.#topic = topic;
    this.#section = section;
    this.#list = section.querySelector('#messages');
    this.#name = section.querySelector('#chat-name');
    this.#text = section.querySelector('#chat-text');
    this.#notice = section.querySelector('#chat-notice');
    this.#send = section.querySelector('#chat-send');
    section.querySelector('#say').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#say();
    });
    this.#wanted = this.#name.value.trim();
    this.#name.addEventListener('change', () => {
      this.#wanted = this.#name.value.trim();
      this.#rename();
    });
  }

  /** Follows the room for as long as the page is open, or until there is none. */
  async follow() {
    for (let failures = 0; ;) {
      try {
        const since = Date.now();
        const { code } = await this.#session(await this.#token());
        if (code === DISCONNECTED) return this.#tell('You have been disconnected from the chat.', true);
        if (code === 4000 || Date.now() - since > 10_000) failures = 0;
        if (code === 4000) continue;
      } catch (error) {
        if (error instanceof NoRoom) {
          this.#section.hidden = true;
          return;
        }
        if (!this.#section.hidden) this.#tell(`Reconnecting: ${error.message}.`);
      }
      await pause(failures++);
    }
  }

  /** One socket, from its opening to its end. */
  #session(token) {
    return new Promise((resolve, reject) => {
      const address = new URL('chat', location.href);
      address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
      address.search = '';
      address.hash = '';
      const socket = new WebSocket(address, token);
      let opened = false;
      socket.addEventListener('open', () => {
        opened = true;
        this.#socket = socket;
        // It may be another name since the token was asked for.
        if (this.#rename()) return;
        this.#section.hidden = false;
        this.#send.disabled = false;
        this.#tell('');
      });
      socket.addEventListener('message', (event) => this.#take(event.data, socket));
      socket.addEventListener('close', (event) => {
        this.#socket = undefined;
        this.#send.disabled = true;
        if (opened) resolve(event);
        else reject(new Error('the chat can’t be reached'));
      });
    });
  }

  /** The name is part of the token, so another one takes a new token; whether it is another. */
  #rename() {
    const isAnother = this.#wanted !== this.#joined;
    if (isAnother) this.#socket?.close(4000, 'another name');
    return isAnother;
  }

  async #token() {
    this.#joined = this.#wanted;
    const attributes = this.#joined === '' ? {} : { username: this.#joined };
    const response = await request('chat/tokens', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: await this.#topic.token() },
      body: JSON.stringify({ streamId: this.#stream, playerId: this.#topic.playerId, attributes }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.status === 404) throw new NoRoom();
    if (!response.ok) throw new Error(await reason(response));
    const { token } = await response.json();
    if (typeof token !== 'string') throw new Error('the service gave no token');
    return token;
  }

  #say() {
    const content = this.#text.value.trim();
    if (content === '' || this.#socket?.readyState !== WebSocket.OPEN) return;
    const RequestId = String(this.#requests++);
    this.#socket.send(JSON.stringify({ Action: 'SEND_MESSAGE', RequestId, Content: content }));
    this.#sent.set(RequestId, content);
    if (this.#sent.size > SENT_MAX) this.#sent.delete(this.#sent.keys().next().value);
    this.#text.value = '';
    this.#text.focus();
    this.#tell('');
  }

  #take(data, socket) {
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    const { Type: type, EventName: event, Attributes: attributes = {} } = frame;
    if (type === 'ERROR' && frame.ErrorCode !== TOKEN_EXPIRED) this.#putBack(frame);
    if (type === 'MESSAGE') this.#show(frame);
    else if (type === 'ERROR' && frame.ErrorCode === TOKEN_EXPIRED) socket.close(4001, 'session expired');
    else if (type === 'ERROR') this.#tell(`Your message was not sent: ${frame.ErrorMessage}.`, true);
    else if (event === 'aws:DELETE_MESSAGE') this.#remove((line) => line.dataset.id === (attributes.MessageId ?? attributes.MessageID));
    else if (event === 'aws:DISCONNECT_USER') this.#remove((line) => line.dataset.user === attributes.UserId);
  }

  /** What was refused can be mended and sent again, unless something else is being written. */
  #putBack({ RequestId }) {
    const content = this.#sent.get(RequestId);
    if (content !== undefined && this.#text.value === '') this.#text.value = content;
    this.#sent.delete(RequestId);
  }

  #show({ Id: id, Content: content, Sender: sender = {}, Attributes: attributes = {} }) {
    const user = String(sender.UserId ?? '');
    const line = document.createElement('li');
    line.dataset.id = id;
    line.dataset.user = user;
    line.classList.toggle('own', user === this.#topic.playerId);
    const name = document.createElement('b');
    // What stands in the token comes before what the message says of its sender.
    name.textContent = (sender.Attributes?.username || attributes.username || `guest ${user.slice(-4)}`).slice(0, 40);
    const text = document.createElement('span');
    text.className = 'text';
    text.textContent = content;
    line.append(name, text);
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(line);
    while (list.childElementCount > MESSAGES_MAX) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  #remove(matches) {
    for (const line of [...this.#list.children]) if (matches(line)) line.remove();
  }

  #tell(text, bad = false) {
    this.#notice.textContent = text;
    this.#notice.classList.toggle('bad', bad);
  }
}
