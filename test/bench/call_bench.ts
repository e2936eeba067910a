/**
 * `call_service` by 32 callers beside bare requests of undici, to the same HTTPS server in a process of its own, with the
 * same connections and TLS settings, alternately.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createSecureContext, rootCertificates } from 'node:tls';
import { Pool } from 'undici';
import { EGRESS_CONNECTIONS_PER_HOST_MAX } from '../../src/contract/limits.ts';
import type * as Keyhold from '../../src/index.ts';
import { issueCertificate, TEST_CA_CERT } from '../kit/upstream/certificates.ts';
import { atLeast, inMicroseconds, median, type Row } from './report.ts';

const HOST = 'api.linear.app';
const PATH = '/items';
const CALLERS = 32;
const ROUNDS = 9;
const CALLS_PER_ROUND = 960;

interface Round {
  readonly per_second: number;
  readonly p50_us: number;
}

/** `home` has a credential of `linear`; `upstream`: the bundled upstream_program.ts. */
export async function benchCallService(
  openVault: typeof Keyhold.openVault,
  { home, folder, upstream }: { readonly home: string; readonly folder: string; readonly upstream: string },
): Promise<Row[]> {
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const issued = issueCertificate([HOST]);
  writeFileSync(ca, TEST_CA_CERT);
  writeFileSync(cert, issued.cert);
  writeFileSync(key, issued.key);
  const server = spawn(process.execPath, [upstream, cert, key], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.stdout.once('data', (text) => resolve(Number(text)));
  });
  // Until the end of the process: port 443 of the host is this server.
  const routing = createRequire(import.meta.url)('../kit/upstream/routes.cjs');
  routing.routes.set(HOST, port);
  routing.install();
  Object.assign(process.env, { KEYHOLD_EGRESS_ALLOW: '127.0.0.0/8', KEYHOLD_EGRESS_CA: ca });
  const vault = await openVault({ home });
  const secureContext = createSecureContext({ ca: [...rootCertificates, TEST_CA_CERT] });
  const pool = new Pool(`https://${HOST}`, {
    connections: EGRESS_CONNECTIONS_PER_HOST_MAX,
    pipelining: 1,
    allowH2: false,
    // Made once: it parses all the certificates.
    connect: { secureContext, rejectUnauthorized: true, servername: HOST },
  });
  const bare = async () => {
    const headers = { authorization: 'lin_api_0123456789', accept: 'application/json' };
    const { statusCode, body } = await pool.request({ method: 'GET', path: PATH, headers });
    await body.json();
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  };
  const call = async () => {
    const result = await vault.callService({ service_id: 'linear', path: PATH });
    if (result.status !== 200) throw new Error(`the call failed: ${JSON.stringify(result)}`);
  };
  try {
    const rounds: { bare: Round; call: Round }[] = [];
    for (let round = -2; round < ROUNDS; round++) {
      const pair = { bare: await measure(bare), call: await measure(call) };
      // The first rounds warm up.
      if (round >= 0) rounds.push(pair);
    }
    const of = (choose: (pair: { bare: Round; call: Round }) => number) => median(rounds.map(choose));
    const added_us = of((pair) => pair.call.p50_us - pair.bare.p50_us);
    return [
      atLeast(
        `call_service by ${CALLERS} callers, of bare undici (p50 ${inMicroseconds(added_us)} more)`,
        of((pair) => pair.call.per_second / pair.bare.per_second),
        0.6,
        `${of((pair) => pair.call.per_second).toFixed(0)}/s`,
        `${of((pair) => pair.bare.per_second).toFixed(0)}/s`,
      ),
    ];
  } finally {
    await pool.close();
    await vault.close();
    server.kill();
  }
}

async function measure(act: () => Promise<void>): Promise<Round> {
  const latencies_us: number[] = [];
  const started = performance.now();
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      for (let at = 0; at < CALLS_PER_ROUND / CALLERS; at++) {
        const began = performance.now();
        await act();
        latencies_us.push((performance.now() - began) * 1000);
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  return { per_second: CALLS_PER_ROUND / seconds, p50_us: median(latencies_us) };
}
