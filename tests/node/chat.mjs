// Amazon's own client, amazon-ivs-chat-messaging, against a server: node chat.mjs SERVER ARN CASE
//
// Prints `ready` where the test has something to do, and ends with 0 when all is as it should be.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
// Browsers have one; Node has from version 22 on.
globalThis.WebSocket = require('ws');
const { ChatRoom, DeleteMessageRequest, DisconnectUserRequest, SendMessageRequest } = require('amazon-ivs-chat-messaging');

const [server, arn, name] = process.argv.slice(2);
const ALL = ['SEND_MESSAGE', 'DELETE_MESSAGE', 'DISCONNECT_USER'];
const DEADLINE_MS = 20_000;

async function call(operation, request) {
  const answer = await fetch(`http://${server}/${operation}`, { method: 'POST', body: JSON.stringify(request) });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return JSON.parse(text);
}

async function createToken(userId, more = {}) {
  const made = await call('CreateChatToken', { roomIdentifier: arn, userId, capabilities: ALL, attributes: { username: userId }, ...more });
  return {
    token: made.token,
    sessionExpirationTime: new Date(made.sessionExpirationTime),
    tokenExpirationTime: new Date(made.tokenExpirationTime),
  };
}

/** A room that keeps what it is told. */
function enter(userId, tokenProvider = () => createToken(userId)) {
  const room = new ChatRoom({ regionOrUrl: `ws://${server}`, tokenProvider });
  room.logLevel = 'error';
  room.logger = { error: () => {}, info: () => {}, debug: () => {} };
  const heard = [];
  for (const event of ['connect', 'disconnect', 'message', 'event', 'messageDelete', 'userDisconnect']) {
    room.addListener(event, (what) => heard.push({ event, what }));
  }
  room.connect();
  return { room, heard };
}

async function until(condition) {
  for (const end = Date.now() + DEADLINE_MS; !condition();) {
    assert.ok(Date.now() < end, `never: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits until something was heard. */
async function hears({ heard }, what, matches) {
  let found;
  await until(() => {
    found = heard.find((entry) => entry.event === what && (matches === undefined || matches(entry.what)));
    return found;
  });
  return found.what;
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('it was not refused');
}

const cases = {
  async messages() {
    const [ann, bob] = [enter('ann'), enter('bob')];
    await Promise.all([hears(ann, 'connect'), hears(bob, 'connect')]);
    const request = new SendMessageRequest('hello', { color: 'red' });
    const sent = await ann.room.sendMessage(request);
    assert.equal(sent.requestId, request.requestId);
    assert.equal(sent.content, 'hello');
    assert.deepEqual(sent.attributes, { color: 'red' });
    assert.deepEqual(sent.sender, { userId: 'ann', attributes: { username: 'ann' } });
    assert.ok(Math.abs(sent.sendTime - Date.now()) < 60_000);
    assert.equal((await hears(bob, 'message')).id, sent.id);

    const long = await refusal(ann.room.sendMessage(new SendMessageRequest('x'.repeat(501))));
    assert.equal(long.errorCode, 413);
    assert.match(long.errorMessage, /at most 500/);

    const { id } = await call('SendEvent', { roomIdentifier: arn, eventName: 'app:vote', attributes: { heart: '3' } });
    const event = await hears(bob, 'event');
    assert.deepEqual([event.id, event.eventName, event.attributes], [id, 'app:vote', { heart: '3' }]);

    const deleted = await ann.room.deleteMessage(new DeleteMessageRequest(sent.id, 'spam'));
    assert.deepEqual([deleted.messageId, deleted.reason], [sent.id, 'spam']);
    assert.equal((await hears(bob, 'messageDelete')).messageId, sent.id);

    const gone = await ann.room.disconnectUser(new DisconnectUserRequest('bob', 'spam'));
    assert.deepEqual([gone.userId, gone.reason], ['bob', 'spam']);
    assert.equal((await hears(bob, 'userDisconnect')).userId, 'bob');
    // It was disconnected, and does not come back.
    assert.equal(await hears(bob, 'disconnect'), 'serverDisconnect');
    assert.equal(bob.room.state, 'disconnected');
    ann.room.disconnect();
    assert.equal(await hears(ann, 'disconnect'), 'clientDisconnect');
  },

  async capabilities() {
    const reader = enter('reader', () => createToken('reader', { capabilities: [] }));
    await hears(reader, 'connect');
    for (const sent of [
      reader.room.sendMessage(new SendMessageRequest('hello')),
      reader.room.deleteMessage(new DeleteMessageRequest('AYk6xKitV4On')),
      reader.room.disconnectUser(new DisconnectUserRequest('reader')),
    ]) {
      assert.equal((await refusal(sent)).errorCode, 403);
    }
    reader.room.disconnect();
  },

  /** A token that is refused at the handshake is tried three times more, and then no more. */
  async refused() {
    const used = await createToken('ann');
    const ann = enter('ann', async () => used);
    await hears(ann, 'connect');
    let asked = 0;
    const late = enter('ann', async () => {
      asked++;
      return used;
    });
    assert.equal(await hears(late, 'disconnect'), 'socketError');
    assert.equal(asked, 4);
    ann.room.disconnect();
  },

  /** The client changes to another socket before its token's time is over: nothing is lost or doubled. */
  async overlap() {
    const ann = enter('ann');
    await hears(ann, 'connect');
    const expected = [];
    let bob;
    const say = async (content) => {
      expected.push(content);
      await ann.room.sendMessage(new SendMessageRequest(content));
      await hears(bob, 'message', (message) => message.content === content);
    };
    let tokens = 0;
    bob = enter('bob', async () => {
      // Heard on the socket that is there, just before the next one is.
      if (++tokens > 1) await say(`before ${tokens}`);
      const made = await createToken('bob');
      // Of the first three the client thinks that they are over soon.
      if (tokens <= 3) made.tokenExpirationTime = new Date(Date.now() + 30_000);
      return made;
    });
    await until(() => tokens === 4);
    await say('after');
    const heard = bob.heard.filter(({ event }) => event === 'message').map(({ what }) => what.content);
    assert.deepEqual(heard, expected);
    assert.deepEqual(heard, ['before 2', 'before 3', 'before 4', 'after']);
    ann.room.disconnect();
    bob.room.disconnect();
  },

  /** The session's time ends, and the client is back by itself with a new token. */
  async expiry() {
    const ann = enter('ann', () => createToken('ann', { sessionDurationInMinutes: 1 }));
    const connected = () => ann.heard.filter(({ event }) => event === 'connect').length;
    await until(() => connected() === 1);
    console.log('ready');
    await until(() => connected() === 2);
    const sent = await ann.room.sendMessage(new SendMessageRequest('back'));
    assert.equal(sent.content, 'back');
    ann.room.disconnect();
  },
};

await cases[name]();
process.exit(0);
