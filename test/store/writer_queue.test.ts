/** Fair turns between processes: who waits is let go first, who is dead or stopped is passed over, nothing breaks it. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Driver from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WriterQueue } from '../../src/store/sqlite/writer_queue.ts';
import { useWriters } from '../kit/child/writer_process.ts';
import { modeOf } from '../kit/file_system.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const writers = useWriters();
/** The form of the file: slots of process number, waiting since, last heard of. */
const SLOT_BYTES = 24;
const SLOTS = 128;
const LONG_MS = 30_000;

function newTurns(path: string): WriterQueue {
  const turns = new WriterQueue(path);
  onTestFinished(() => turns.close());
  return turns;
}

/** What another process would write that waits since, and was last heard of. */
function announce(path: string, slot: number, since_ms: number, heard_ms: number): void {
  const bytes = Buffer.alloc(SLOT_BYTES);
  bytes.writeUInt32LE(slot, 0);
  bytes.writeDoubleLE(since_ms, 8);
  bytes.writeDoubleLE(heard_ms, 16);
  const file = fs.openSync(path, 'r+');
  fs.writeSync(file, bytes, 0, SLOT_BYTES, slot * SLOT_BYTES);
  fs.closeSync(file);
}

/** A slot that is not the one of this process. */
const OTHER_SLOT = (process.pid + 1) % SLOTS;

/** Counts how often a turn was tried, and takes it at the first try, or when `yes` says so. */
function counting(yes: () => boolean = () => true) {
  const counted = { tries: 0 };
  const begin = () => {
    counted.tries++;
    return yes();
  };
  return { counted, begin };
}

describe('the file of turns', () => {
  test('is for the owner alone', () => {
    const path = join(temporaryFolder(), 'turns');
    newTurns(path);
    expect(modeOf(path)).toBe('0600');
  });

  const unusable: Readonly<Record<string, (path: string) => string>> = {
    'a folder in its place': (path) => {
      fs.mkdirSync(path);
      return path;
    },
    'a folder that is not there': (path) => join(path, 'nowhere'),
    'a link in its place': (path) => {
      fs.writeFileSync(`${path}-target`, 'untouched');
      fs.symlinkSync(`${path}-target`, path);
      return path;
    },
  };
  test.each(Object.entries(unusable))('that cannot be had (%s) costs fairness only', async (_, arrange) => {
    const path = join(temporaryFolder(), 'turns');
    const turns = newTurns(arrange(path));
    expect(await turns.take(() => true, LONG_MS)).toBe(true);
    const { counted, begin } = counting(() => counted.tries === 3);
    expect(await turns.take(begin, LONG_MS)).toBe(true);
    if (fs.existsSync(`${path}-target`)) expect(fs.readFileSync(`${path}-target`, 'utf8')).toBe('untouched');
  });

  /** Every slot with these times. */
  function times(since_ms: number, heard_ms: number): Buffer {
    const slot = Buffer.alloc(SLOT_BYTES, 1);
    slot.writeDoubleLE(since_ms, 8);
    slot.writeDoubleLE(heard_ms, 16);
    return Buffer.concat(Array.from({ length: SLOTS }, () => slot));
  }

  const garbage: Readonly<Record<string, Buffer>> = {
    zeros: Buffer.alloc(SLOTS * SLOT_BYTES),
    'ones (which are no numbers)': Buffer.alloc(SLOTS * SLOT_BYTES, 0xff),
    'random bytes': randomBytes(SLOTS * SLOT_BYTES),
    'half a slot': randomBytes(SLOT_BYTES / 2),
    'far more than there are slots': randomBytes(1 << 20),
    'somebody who waited for ever and was heard of never': times(Number.NEGATIVE_INFINITY, Number.NaN),
    'somebody who waited since never': times(Number.NaN, Date.now()),
    'times that are infinite': times(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
  };
  test.each(Object.entries(garbage))('with %s in it keeps nobody waiting', async (_, bytes) => {
    const path = join(temporaryFolder(), 'turns');
    fs.writeFileSync(path, bytes);
    const turns = newTurns(path);
    const { counted, begin } = counting();
    expect(await turns.take(begin, LONG_MS)).toBe(true);
    expect(counted.tries).toBe(1);
  });
});

describe('a turn', () => {
  test('that nobody else wants is taken at once', async () => {
    const { counted, begin } = counting();
    const turns = newTurns(join(temporaryFolder(), 'turns'));
    expect(await turns.take(begin, LONG_MS)).toBe(true);
    expect(counted.tries).toBe(1);
  });

  test('that cannot be had in time is given up, and the waiting is no longer announced', async () => {
    const path = join(temporaryFolder(), 'turns');
    const turns = newTurns(path);
    const { counted, begin } = counting(() => false);
    expect(await turns.take(begin, 100)).toBe(false);
    expect(counted.tries).toBeGreaterThan(1);
    const slot = fs.readFileSync(path).subarray((process.pid % SLOTS) * SLOT_BYTES + 8);
    expect(slot.readDoubleLE(0)).toBe(0);
  });

  test('that throws what the database throws stops the waiting', async () => {
    const turns = newTurns(join(temporaryFolder(), 'turns'));
    const fail = () => {
      throw new Error('disk on fire');
    };
    await expect(turns.take(fail, LONG_MS)).rejects.toThrow('disk on fire');
  });

  test('is left to somebody who has waited longer, for as long as it is heard of', async () => {
    const path = join(temporaryFolder(), 'turns');
    const turns = newTurns(path);
    const since_ms = Date.now() - 60_000;
    // A little ahead of the clock: on a machine that stalls it must not look dead.
    const hear = () => announce(path, OTHER_SLOT, since_ms, Date.now() + 200);
    hear();
    const heard = setInterval(hear, 10);
    const { counted, begin } = counting();
    const taking = turns.take(begin, LONG_MS);
    await sleep(150);
    expect(counted.tries).toBe(0);
    clearInterval(heard);
    announce(path, OTHER_SLOT, 0, 0);
    expect(await taking).toBe(true);
    expect(counted.tries).toBe(1);
  });

  test('is not left to somebody who died waiting', async () => {
    const path = join(temporaryFolder(), 'turns');
    const turns = newTurns(path);
    announce(path, OTHER_SLOT, Date.now() - 60_000, Date.now() - 5_000);
    const { counted, begin } = counting();
    expect(await turns.take(begin, LONG_MS)).toBe(true);
    expect(counted.tries).toBe(1);
  });

  test('is not left for ever to somebody who dies while we wait', async () => {
    const path = join(temporaryFolder(), 'turns');
    const turns = newTurns(path);
    announce(path, OTHER_SLOT, Date.now() - 60_000, Date.now());
    expect(await turns.take(() => true, LONG_MS)).toBe(true);
  });

  test('is not left to somebody who came later', async () => {
    const path = join(temporaryFolder(), 'turns');
    const turns = newTurns(path);
    const { counted, begin } = counting(() => counted.tries > 3);
    const later_ms = Date.now() + 60_000;
    const heard = setInterval(() => announce(path, OTHER_SLOT, later_ms, Date.now()), 10);
    onTestFinished(() => clearInterval(heard));
    announce(path, OTHER_SLOT, later_ms, Date.now());
    expect(await turns.take(begin, LONG_MS)).toBe(true);
  });
});

describe('a process that is stopped while it waits', () => {
  test('keeps nobody from writing, and carries on where it was', async () => {
    const { home, vault, caller } = await openTestVault();
    const rounds = 50;
    const start = (name: string) =>
      writers.start({ home, order: { task: 'one_field', name, field: 'username', rounds } });
    const stopped = start('stopped');
    const going = start('going');
    await Promise.all([stopped.said('ready'), going.said('ready')]);

    const lock = new Driver(join(home, 'data', 'vault.db'));
    lock.exec('BEGIN IMMEDIATE');
    stopped.go();
    const turns_path = join(home, 'data', 'vault.db-turns');
    await expect.poll(() => waitingPids(turns_path), { timeout: 20_000 }).toEqual([stopped.pid]);
    stopped.signal('SIGSTOP');
    lock.exec('COMMIT');
    lock.close();

    going.go();
    await going.said('finished');
    expect(stopped.lines.map(({ said }) => said)).toEqual(['ready']);
    await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'x' });
    stopped.signal('SIGCONT');
    await stopped.said('finished');
    expect(await vault.verifyAudit(caller())).toMatchObject({ findings: [], entries: 2 * rounds + 2 });
  });
});

/** The processes that say that they are waiting. */
function waitingPids(path: string): number[] {
  const bytes = fs.readFileSync(path);
  const pids: number[] = [];
  for (let at = 0; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES) {
    if (bytes.readDoubleLE(at + 8) > 0) pids.push(bytes.readUInt32LE(at));
  }
  return pids;
}
