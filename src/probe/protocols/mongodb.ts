/** Tests a login over the protocol mongodb. */
import type { Probe } from '../probe.ts';

export const probeMongodb: Probe = async () => ({ reason: 'not_testable', checked: [] });
