/** Tests a login over the protocol mysql. */
import type { Probe } from '../probe.ts';

export const probeMysql: Probe = async () => ({ reason: 'not_testable', checked: [] });
