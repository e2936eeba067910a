/**
 * The built `keyhold mcp` at the level of bytes: anything may be written to it, and every line that comes back is kept
 * and must be one JSON-RPC message.
 */
import type { ChildProcess } from 'node:child_process';
import { JSONRPCMessageSchema } from '@modelcontextprotocol/sdk/types.js';
import { startProgram } from '../kit/child/built_program.ts';

/** A message as it came, for looking into. */
export interface Message {
  readonly jsonrpc: string;
  readonly id?: string | number;
  readonly result?: { readonly [key: string]: unknown };
  readonly error?: { readonly code: number; readonly message: string };
}

/** The protocol revisions that a raw client may speak: with a handshake, and without one. */
export const REVISIONS = ['2025-11-25', '2026-07-28'] as const;
export type Revision = (typeof REVISIONS)[number];

export class RawServer {
  readonly child: ChildProcess;
  /** Everything that came on standard output and standard error. */
  stdout = '';
  stderr = '';
  /** Resolves when the process has ended and its streams are read to the end. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #revision: Revision;
  readonly #waiting = new Map<string | number, (message: Message) => void>();
  readonly #came = new Map<string | number, Message>();
  #rest = '';
  #next_id = 1_000;

  constructor(home: string, revision: Revision = '2025-11-25', env: NodeJS.ProcessEnv = {}) {
    this.#revision = revision;
    this.child = startProgram(['mcp'], { env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug', ...env } });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // A server that has ended takes nothing more; that is what `exited` tells.
    this.child.stdin?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Writes exactly these bytes, or this text. Resolves when the pipe has taken them, or the server has ended. */
  async write(bytes: string | Buffer): Promise<void> {
    await Promise.race([
      this.exited,
      new Promise<void>((resolve) => {
        this.child.stdin?.write(bytes, () => resolve());
      }),
    ]);
  }

  /** Writes one message and a line end, as it is. */
  async send(message: unknown): Promise<void> {
    await this.write(`${JSON.stringify(message)}\n`);
  }

  /** Sends a request and resolves to its answer, result or error. Rejects when the server ends before it answers. */
  async request(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<Message> {
    const id = this.#next_id++;
    const answer = this.answerTo(id);
    await this.send({ jsonrpc: '2.0', id, method, params: this.enveloped(params) });
    return answer;
  }

  /** Calls a tool. */
  async call(name: string, input: Readonly<Record<string, unknown>> = {}): Promise<Message> {
    return this.request('tools/call', { name, arguments: input });
  }

  /** What the revision wants in every request. */
  enveloped(params: Readonly<Record<string, unknown>>): Record<string, unknown> {
    if (this.#revision === '2025-11-25') return { ...params };
    return {
      ...params,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': this.#revision,
        'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    };
  }

  /** Shakes hands, where the revision has a handshake; asks what the server can do otherwise. */
  async open(): Promise<Message> {
    if (this.#revision === '2026-07-28') return this.request('server/discover');
    const params = {
      protocolVersion: this.#revision,
      capabilities: {},
      clientInfo: { name: 'raw', version: '1.0.0' },
    };
    const answer = await this.request('initialize', params);
    await this.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return answer;
  }

  /** The answer to a request that is sent, or was sent, in another way. */
  answerTo(id: string | number): Promise<Message> {
    const came = this.#came.get(id);
    if (came !== undefined) return Promise.resolve(came);
    const answer = new Promise<Message>((resolve, reject) => {
      this.#waiting.set(id, resolve);
      void this.exited.then(({ code }) =>
        reject(new Error(`the server ended (${code}) without an answer: ${this.stderr}`)),
      );
    });
    // A test that has failed before it waits for this is not to fail a second time.
    answer.catch(() => {});
    return answer;
  }

  /** Ends standard input, as a client does that goes away, and waits for the process to end. */
  async end(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    this.child.stdin?.end();
    return this.exited;
  }

  /** Every message that came. Throws when a line is anything else, or the last one has no end. */
  messages(): Message[] {
    const lines = this.stdout.split('\n');
    if (lines.pop() !== '') throw new Error('the last line has no end');
    return lines.map((line) => {
      const message: unknown = JSON.parse(line);
      JSONRPCMessageSchema.parse(message);
      return message as Message;
    });
  }

  /** Every line of the log. Throws when a line is anything but a JSON object with a time and a message. */
  logLines(): Record<string, unknown>[] {
    return this.stderr
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const entry: Record<string, unknown> = JSON.parse(line);
        if (typeof entry.time !== 'string' || typeof entry.msg !== 'string') throw new Error('no log line');
        return entry;
      });
  }

  #take(text: string): void {
    this.stdout += text;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      let message: Message;
      try {
        message = JSON.parse(line);
      } catch {
        // Whoever asks for the messages is told.
        continue;
      }
      if (message?.id === undefined || 'method' in message) continue;
      this.#came.set(message.id, message);
      this.#waiting.get(message.id)?.(message);
    }
  }
}
