/**
 * The built `keyhold mcp` without an MCP client: tests write any bytes, and every line of its stdout must be one JSON-RPC
 * message.
 */
import type { ChildProcess } from 'node:child_process';
import { JSONRPCMessageSchema } from '@modelcontextprotocol/sdk/types.js';
import { startProgram } from '../kit/child/built_program.ts';

/** A parsed message. */
export interface Message {
  readonly jsonrpc: string;
  readonly id?: string | number;
  readonly result?: { readonly [key: string]: unknown };
  readonly error?: { readonly code: number; readonly message: string };
}

/** Two protocol revisions: with a handshake, and without one. */
export const REVISIONS = ['2025-11-25', '2026-07-28'] as const;
export type Revision = (typeof REVISIONS)[number];

export class RawServer {
  readonly child: ChildProcess;
  /** The output so far. */
  stdout = '';
  stderr = '';
  /** Resolves when the process has exited and its streams are closed. */
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
    // Writing to a server that has exited fails; `exited` reports it.
    this.child.stdin?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Writes the bytes or text. Resolves when the pipe has accepted them, or the server has exited. */
  async write(bytes: string | Buffer): Promise<void> {
    await Promise.race([
      this.exited,
      new Promise<void>((resolve) => {
        this.child.stdin?.write(bytes, () => resolve());
      }),
    ]);
  }

  /** Writes one message and a newline. */
  async send(message: unknown): Promise<void> {
    await this.write(`${JSON.stringify(message)}\n`);
  }

  /** Sends a request and resolves to its response. Rejects if the server exits before it responds. */
  async request(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<Message> {
    const id = this.#next_id++;
    const response = this.responseTo(id);
    await this.send({ jsonrpc: '2.0', id, method, params: this.enveloped(params) });
    return response;
  }

  /** Calls a tool. */
  async call(name: string, input: Readonly<Record<string, unknown>> = {}): Promise<Message> {
    return this.request('tools/call', { name, arguments: input });
  }

  /** The members that the revision requires in every request. */
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

  /** Performs the handshake, or discovers the server in a revision without one. */
  async open(): Promise<Message> {
    if (this.#revision === '2026-07-28') return this.request('server/discover');
    const params = {
      protocolVersion: this.#revision,
      capabilities: {},
      clientInfo: { name: 'raw', version: '1.0.0' },
    };
    const response = await this.request('initialize', params);
    await this.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return response;
  }

  /** Resolves to the response to a request that the test sends itself. */
  responseTo(id: string | number): Promise<Message> {
    const came = this.#came.get(id);
    if (came !== undefined) return Promise.resolve(came);
    const response = new Promise<Message>((resolve, reject) => {
      this.#waiting.set(id, resolve);
      void this.exited.then(({ code }) =>
        reject(new Error(`the server ended (${code}) without an response: ${this.stderr}`)),
      );
    });
    // A test that fails before it awaits this must not fail a second time.
    response.catch(() => {});
    return response;
  }

  /** Closes stdin, as a client that disconnects does, and waits for the process to exit. */
  async end(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    this.child.stdin?.end();
    return this.exited;
  }

  /** All messages. Throws if a line is not a message, or the last one is incomplete. */
  messages(): Message[] {
    const lines = this.stdout.split('\n');
    if (lines.pop() !== '') throw new Error('the last line has no end');
    return lines.map((line) => {
      const message: unknown = JSON.parse(line);
      JSONRPCMessageSchema.parse(message);
      return message as Message;
    });
  }

  /** All log lines. Throws if a line is not a JSON object with a time and a message. */
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
        // `messages` throws for this line.
        continue;
      }
      if (message?.id === undefined || 'method' in message) continue;
      this.#came.set(message.id, message);
      this.#waiting.get(message.id)?.(message);
    }
  }
}
