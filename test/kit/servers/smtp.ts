/** A real SMTP server in this process, with one user, and STARTTLS, TLS from the start or none. It refuses every mail. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { onTestFinished } from 'vitest';
import { issueCertificate } from '../upstream/certificates.ts';

export const SMTP_USER = 'ana@example.com';

export interface StartedSmtp {
  readonly port: number;
  /** Logins that were tried, with whether the connection had TLS. */
  readonly logins: readonly { readonly username: string; readonly tls: boolean }[];
  /** Commands that begin a mail. */
  readonly mails: () => number;
}

/** Stopped when the test ends. The certificate is for `localhost`, or as in `options`. */
export async function startSmtp(password: string, options: SMTPServerOptions = {}): Promise<StartedSmtp> {
  const logins: { username: string; tls: boolean }[] = [];
  let mails = 0;
  const server = new SMTPServer({
    ...issueCertificate(['localhost']),
    name: 'mail.example.com',
    closeTimeout: 1,
    onAuth({ username = '', password: given }, { secure }, done) {
      logins.push({ username, tls: secure });
      if (username === SMTP_USER && given === password) done(null, { user: username });
      else done(replyError(535, '5.7.8 Authentication credentials invalid'));
    },
    onMailFrom(_address, _session, done) {
      mails += 1;
      done(replyError(550, 'no mail is accepted'));
    },
    ...options,
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  onTestFinished(() => new Promise<void>((resolve) => server.close(resolve)));
  const { port } = server.server.address() as AddressInfo;
  return { port, logins, mails: () => mails };
}

/** An error that the server sends as a reply with this code. */
export function replyError(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
