/** The writer queue: the longest waiting process goes first, dead or stopped ones are skipped, and no file content breaks it. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Driver from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WriterQueue } from '../../src/store/sqlite/writer_queue.ts';
import { useVaultProcesses } from '../kit/child/vault_process.ts';
import { modeOf } from '../kit/file_system.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { newStorePath, openStore } from './store_kit.ts';

const writers = useVaultProcesses();
/** The file has entries of process id, waiting since, heartbeat. */
const ENTRY_BYTES = 24;
const ENTRIES = 128;
const LONG_MS = 30_000;
/** Higher than all slots, so that another entry that came together with it is first. */
const OWN_ID = BigInt(7 + 100 * ENTRIES);

/** The clock of the queue file. */
function uptimeMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

function openQueue(path: string): WriterQueue {
  const queue = new WriterQueue(path, OWN_ID);
  onTestFinished(() => queue.close());
  return queue;
}

/** Writes the entry of another waiting process. */
function writeEntry(path: string, slot: number, since_ms: number, heartbeat_ms: number): void {
  const bytes = Buffer.alloc(ENTRY_BYTES);
  bytes.writeUInt32LE(slot, 0);
  bytes.writeDoubleLE(since_ms, 8);
  bytes.writeDoubleLE(heartbeat_ms, 16);
  const file = fs.openSync(path, 'r+');
  fs.writeSync(file, bytes, 0, ENTRY_BYTES, slot * ENTRY_BYTES);
  fs.closeSync(file);
}

/** Not the entry of `OWN_ID`. */
const OTHER_ENTRY = 8;

/** A `begin` that counts its calls and succeeds at once, or when `yes` returns true. */
function counting(yes: () => boolean = () => true) {
  const counted = { tries: 0 };
  const begin = () => {
    counted.tries++;
    return yes();
  };
  return { counted, begin };
}

describe('the writer queue file', () => {
  test('is beside the vault file, also if that is opened through a symbolic link', async () => {
    const path = newStorePath();
    const link = join(temporaryFolder(), 'link.db');
    fs.symlinkSync(path, link);
    await openStore(link);
    expect(fs.existsSync(`${path}-writers`)).toBe(true);
    expect(fs.readdirSync(dirname(link))).toEqual(['link.db']);
  });

  test('has mode 0600', () => {
    const path = join(temporaryFolder(), 'writers');
    openQueue(path);
    expect(modeOf(path)).toBe('0600');
  });

  const unusable: Readonly<Record<string, (path: string) => string>> = {
    'its path is a folder': (path) => {
      fs.mkdirSync(path);
      return path;
    },
    'its folder is missing': (path) => join(path, 'nowhere'),
    'its path is a link': (path) => {
      fs.writeFileSync(`${path}-target`, 'untouched');
      fs.symlinkSync(`${path}-target`, path);
      return path;
    },
  };
  test.each(Object.entries(unusable))(
    'that cannot be opened (%s) does not prevent writing',
    async (_, arrange) => {
      const path = join(temporaryFolder(), 'writers');
      const queue = openQueue(arrange(path));
      expect(await queue.acquire(() => true, LONG_MS)).toBe(true);
      const { counted, begin } = counting(() => counted.tries === 3);
      expect(await queue.acquire(begin, LONG_MS)).toBe(true);
      if (fs.existsSync(`${path}-target`))
        expect(fs.readFileSync(`${path}-target`, 'utf8')).toBe('untouched');
    },
  );

  /** A file in which every entry has these times. */
  function times(since_ms: number, heartbeat_ms: number): Buffer {
    const slot = Buffer.alloc(ENTRY_BYTES, 1);
    slot.writeDoubleLE(since_ms, 8);
    slot.writeDoubleLE(heartbeat_ms, 16);
    return Buffer.concat(Array.from({ length: ENTRIES }, () => slot));
  }

  const garbage: Readonly<Record<string, Buffer>> = {
    zeros: Buffer.alloc(ENTRIES * ENTRY_BYTES),
    'ones (NaN)': Buffer.alloc(ENTRIES * ENTRY_BYTES, 0xff),
    'random bytes': randomBytes(ENTRIES * ENTRY_BYTES),
    'half an entry': randomBytes(ENTRY_BYTES / 2),
    'more bytes than all entries': randomBytes(1 << 20),
    'an infinitely old waiter without a heartbeat': times(Number.NEGATIVE_INFINITY, Number.NaN),
    'a waiter whose waiting time is NaN': times(Number.NaN, uptimeMs()),
    'infinite times': times(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
  };
  test.each(Object.entries(garbage))('with %s does not delay a writer', async (_, bytes) => {
    const path = join(temporaryFolder(), 'writers');
    fs.writeFileSync(path, bytes);
    const queue = openQueue(path);
    const { counted, begin } = counting();
    expect(await queue.acquire(begin, LONG_MS)).toBe(true);
    expect(counted.tries).toBe(1);
  });
});

describe('acquire', () => {
  test('succeeds at once without other waiters', async () => {
    const { counted, begin } = counting();
    const queue = openQueue(join(temporaryFolder(), 'writers'));
    expect(await queue.acquire(begin, LONG_MS)).toBe(true);
    expect(counted.tries).toBe(1);
  });

  test('returns false after the timeout and removes its entry', async () => {
    const path = join(temporaryFolder(), 'writers');
    const queue = openQueue(path);
    const { counted, begin } = counting(() => false);
    expect(await queue.acquire(begin, 100)).toBe(false);
    expect(counted.tries).toBeGreaterThan(1);
    const slot = fs.readFileSync(path).subarray(Number(OWN_ID % BigInt(ENTRIES)) * ENTRY_BYTES + 8);
    expect(slot.readDoubleLE(0)).toBe(0);
  });

  test('rejects with the error of begin', async () => {
    const queue = openQueue(join(temporaryFolder(), 'writers'));
    const fail = () => {
      throw new Error('disk on fire');
    };
    await expect(queue.acquire(fail, LONG_MS)).rejects.toThrow('disk on fire');
  });

  test('waits for one with the same process id, as in another container, that has waited longer', async () => {
    const path = join(temporaryFolder(), 'writers');
    const [first, second] = [new WriterQueue(path), new WriterQueue(path)];
    onTestFinished(() => {
      first.close();
      second.close();
    });
    let is_locked = true;
    const order: string[] = [];
    const enter = (queue: WriterQueue, name: string) =>
      queue.acquire(() => {
        if (is_locked) return false;
        order.push(name);
        return true;
      }, LONG_MS);
    const waiting = enter(first, 'first');
    await sleep(50);
    is_locked = false;
    // No time passes in which the first one could try again.
    const late = enter(second, 'second');
    await Promise.all([waiting, late]);
    expect(order).toEqual(['first', 'second']);
  });

  test('waits for a process that has waited longer while that has a heartbeat', async () => {
    const path = join(temporaryFolder(), 'writers');
    const queue = openQueue(path);
    const since_ms = uptimeMs() - 60_000;
    // Ahead of the clock, so that it does not become stale on a slow machine.
    const beat = () => writeEntry(path, OTHER_ENTRY, since_ms, uptimeMs() + 200);
    beat();
    const heartbeat = setInterval(beat, 10);
    const { counted, begin } = counting();
    const taking = queue.acquire(begin, LONG_MS);
    await sleep(150);
    expect(counted.tries).toBe(0);
    clearInterval(heartbeat);
    writeEntry(path, OTHER_ENTRY, 0, 0);
    expect(await taking).toBe(true);
    expect(counted.tries).toBe(1);
  });

  test('does not wait for a process that died while waiting', async () => {
    const path = join(temporaryFolder(), 'writers');
    const queue = openQueue(path);
    writeEntry(path, OTHER_ENTRY, uptimeMs() - 60_000, uptimeMs() - 5_000);
    const { counted, begin } = counting();
    expect(await queue.acquire(begin, LONG_MS)).toBe(true);
    expect(counted.tries).toBe(1);
  });

  test('stops waiting for a process that dies meanwhile', async () => {
    const path = join(temporaryFolder(), 'writers');
    const queue = openQueue(path);
    writeEntry(path, OTHER_ENTRY, uptimeMs() - 60_000, uptimeMs());
    expect(await queue.acquire(() => true, LONG_MS)).toBe(true);
  });

  test('does not wait for a process that came later', async () => {
    const path = join(temporaryFolder(), 'writers');
    const queue = openQueue(path);
    const { counted, begin } = counting(() => counted.tries > 3);
    const later_ms = uptimeMs() + 60_000;
    const heartbeat = setInterval(() => writeEntry(path, OTHER_ENTRY, later_ms, uptimeMs()), 10);
    onTestFinished(() => clearInterval(heartbeat));
    writeEntry(path, OTHER_ENTRY, later_ms, uptimeMs());
    expect(await queue.acquire(begin, LONG_MS)).toBe(true);
  });
});

describe('a process that is stopped while it waits for the lock', () => {
  test('does not keep others from writing, and continues when it is resumed', async () => {
    const { home, vault, caller } = await openTestVault();
    const rounds = 50;
    const start = (name: string) =>
      writers.startWriter(home, { task: 'one_field', name, field: 'username', rounds });
    const stopped = start('stopped');
    const going = start('going');
    await Promise.all([stopped.waitFor('ready'), going.waitFor('ready')]);

    const lock = new Driver(join(home, 'data', 'vault.db'));
    lock.exec('BEGIN IMMEDIATE');
    stopped.begin();
    const queue_path = join(home, 'data', 'vault.db-writers');
    await expect.poll(() => countWaiting(queue_path), { timeout: 20_000 }).toBe(1);
    stopped.signal('SIGSTOP');
    lock.exec('COMMIT');
    lock.close();

    going.begin();
    await going.waitFor('finished');
    expect(stopped.lines.map(({ event }) => event)).toEqual(['ready']);
    await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' });
    stopped.signal('SIGCONT');
    await stopped.waitFor('finished');
    expect(await vault.verifyAudit(caller())).toMatchObject({ findings: [], entries: 2 * rounds + 2 });
  });
});

/** The number of processes that are registered as waiting. */
function countWaiting(path: string): number {
  const bytes = fs.readFileSync(path);
  let count = 0;
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    if (bytes.readDoubleLE(at + 8) > 0) count += 1;
  }
  return count;
}
