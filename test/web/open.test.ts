/** `keyhold open`: a one-time ticket in a file of the owner signs the person at this machine in. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { localCaller } from '../../src/contract/caller.ts';
import { SIGN_IN_TICKET_AGE_MS } from '../../src/contract/limits.ts';
import { runProgram, startProgram } from '../kit/child/built_program.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { PageClient, startPages } from '../kit/http/page_client.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { openTenants } from '../kit/vault/tenants.ts';

const TICKET_PATH = '/dashboard/sign-in/ticket';
const FROM_FILE = { origin: 'null', 'sec-fetch-site': 'cross-site' };

describe('a ticket', () => {
  test('signs a person in once, from a local file, with the permissions of the local user', async () => {
    const server = await startPages();
    const ticket = await server.vault.web_sessions.createTicket({ ...server.caller(), edge: 'cli' });
    const browser = server.browser();
    const signed_in = await browser.post(TICKET_PATH, { ticket }, FROM_FILE);
    expect([signed_in.status, signed_in.location]).toEqual([303, '/dashboard']);
    expect((await browser.get('/dashboard')).status).toBe(200);
    const token = browser.cookies.get('keyhold_session') ?? '';
    const session = await server.vault.web_sessions.find(token, 'r');
    expect(session?.caller).toMatchObject({
      organization: 'local',
      user: 'me',
      edge: 'web',
      is_person: true,
    });
    const second = await server.browser().post(TICKET_PATH, { ticket }, FROM_FILE);
    expect([second.status, second.headers.getSetCookie()]).toEqual([401, []]);
    expect(second.text).not.toContain(ticket);
  });

  test('signs in only one of two browsers that send it at the same time', async () => {
    const server = await startPages();
    const ticket = await server.vault.web_sessions.createTicket({ ...server.caller(), edge: 'cli' });
    const sent = [1, 2, 3].map(() => server.browser().post(TICKET_PATH, { ticket }, FROM_FILE));
    const statuses = (await Promise.all(sent)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([303, 401, 401]);
  });

  test('is made at the local command line only, and expires', async () => {
    const { vault, clock } = await openTenants();
    const sessions = vault.web_sessions;
    for (const edge of ['rest', 'mcp', 'web', 'library'] as const)
      await expect(sessions.createTicket(localCaller(edge, 'r'))).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
    const ticket = await sessions.createTicket(localCaller('cli', 'r'));
    expect(await sessions.isTicketOpen(ticket)).toBe(true);
    clock.advance(SIGN_IN_TICKET_AGE_MS);
    expect(await sessions.isTicketOpen(ticket)).toBe(false);
    await expect(sessions.signInWithTicket(ticket, 'r')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('is the only thing that a page without an origin may send', async () => {
    const server = await startPages();
    const browser = await server.signedIn();
    for (const path of ['/dashboard/sign-in', '/dashboard/sign-out', '/dashboard', `${TICKET_PATH}/`])
      expect((await browser.post(path, {}, FROM_FILE)).status, path).toBe(403);
    const other_site = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    expect((await browser.post(TICKET_PATH, { ticket: 'x' }, other_site)).status).toBe(403);
    expect((await browser.post(TICKET_PATH, { ticket: 'x' }, FROM_FILE)).status).toBe(401);
  });
});

describe('keyhold open', () => {
  test('without a server, or with the file of one that has crashed, names the command that starts it', async () => {
    const home = temporaryFolder();
    const env = { KEYHOLD_HOME: home };
    await runProgram(['init'], { env });
    const without = await runProgram(['open', '--print'], { env });
    expect([without.code, without.stderr.includes('keyhold serve')]).toEqual([13, true]);
    const server = await startServeProcess({ home });
    const file = join(home, 'run', 'server.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ url: server.url, pid: server.pid });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await server.end('SIGKILL');
    expect(existsSync(file)).toBe(true);
    // The process id may belong to another process by now, and the port to none.
    writeFileSync(file, JSON.stringify({ url: server.url, pid: process.pid }));
    const crashed = await runProgram(['open', '--print'], { env });
    expect([crashed.code, crashed.stderr.includes('keyhold serve')]).toEqual([13, true]);
  });

  test('makes a file that signs its owner in, prints no ticket, and removes the file after its use', async () => {
    const server = await startServeProcess();
    const child = startProgram(['open', '--print'], { env: { KEYHOLD_HOME: server.home } });
    let printed = '';
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    await expect.poll(() => printed, { timeout: 20_000 }).toContain('\n');
    const file = printed.trim();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const page = readFileSync(file, 'utf8');
    const [, action = ''] = /action="([^"]+)"/.exec(page) ?? [];
    const [, ticket = ''] = /name="ticket" value="([^"]+)"/.exec(page) ?? [];
    expect([action, ticket.length]).toEqual([server.url + TICKET_PATH, 43]);
    expect(printed).not.toContain(ticket);
    const browser = new PageClient(server.url);
    expect((await browser.post(TICKET_PATH, { ticket }, FROM_FILE)).status).toBe(303);
    expect(await ended).toBe(0);
    expect(existsSync(file)).toBe(false);
    await server.end();
    expect(existsSync(join(server.home, 'run', 'server.json'))).toBe(false);
    expect(server.stderr()).not.toContain(ticket);
  });
});
