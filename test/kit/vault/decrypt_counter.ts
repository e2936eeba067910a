/**
 * Counts how often sealed parts are opened: what an operation tells by its work is counted, since what it tells by its
 * time depends on the machine.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { onTestFinished } from 'vitest';

/** Counts until the end of the test. Each call returns the count since the previous one. */
export function countDecryptions(): () => number {
  const genuine = crypto.createDecipheriv;
  let opened = 0;
  crypto.createDecipheriv = new Proxy(genuine, {
    apply(target, self, input) {
      opened++;
      return Reflect.apply(target, self, input);
    },
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    crypto.createDecipheriv = genuine;
    syncBuiltinESMExports();
  });
  return () => {
    const counted = opened;
    opened = 0;
    return counted;
  };
}
