/** The process of the load generator: reads a plan, prints the result. */
import { type LoadPlan, runLoad } from './load.ts';

let text = '';
for await (const chunk of process.stdin) text += chunk;
const plan: LoadPlan = JSON.parse(text);
process.stdout.write(JSON.stringify(await runLoad(plan)));
