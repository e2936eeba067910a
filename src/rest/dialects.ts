/** All REST dialects. */
import type { Dialect } from '../http/dialect.ts';
import { danube } from './danube/dialect.ts';
import { keyhold } from './keyhold/dialect.ts';
import { superai } from './superai/dialect.ts';
import { toolrouter } from './toolrouter/dialect.ts';
import { toolzz } from './toolzz/dialect.ts';

export const DIALECTS: readonly Dialect[] = [keyhold, toolrouter, danube, superai, toolzz];
