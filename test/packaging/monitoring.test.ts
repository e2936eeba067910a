/** The Prometheus rules and the Grafana dashboard: promtool accepts them, and a running server has each metric and label that they name. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { startServeProcess } from '../kit/http/http_server.ts';
import { ROOT } from '../kit/source_tree.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { isMissing, runExternal } from './external_program.ts';

const RULES = join(ROOT, 'packaging/monitoring/alerts.yaml');
const DASHBOARD = join(ROOT, 'packaging/monitoring/dashboard.json');
const OPERATIONS = join(ROOT, 'docs/operations.md');
const CASES = join(ROOT, 'test/packaging/alerts_cases.yaml');

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly { readonly expr: string }[];
  }[];
}
interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly annotations: { readonly description: string };
    }[];
  }[];
}

const dashboard = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard;
const rules = (parse(readFileSync(RULES, 'utf8')) as Rules).groups.flatMap((group) => group.rules);
const dashboard_queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
const queries = [...rules.map(({ expr }) => expr), ...dashboard_queries];

describe.skipIf(isMissing('promtool'))('promtool', () => {
  test('promtool accepts the alert rules', async () => {
    expect(await runExternal('promtool', ['check', 'rules', RULES])).toMatchObject({ code: 0 });
  });

  test('each alert fires with its cause, and none fires without', async () => {
    const cases = readFileSync(CASES, 'utf8');
    const path = join(temporaryFolder(), 'cases.yaml');
    writeFileSync(path, cases.replace('[RULES]', `[${RULES}]`));
    const { code, stdout, stderr } = await runExternal('promtool', ['test', 'rules', path]);
    expect({ code, output: stdout + stderr }).toMatchObject({ code: 0 });
    const firing = new Set([...cases.matchAll(/ALERTS\{alertname="(\w+)"/g)].map(([, name]) => name));
    expect(rules.map(({ alert }) => alert).filter((name) => !firing.has(name))).toEqual([]);
  });

  test('promtool accepts every query of the dashboard', async () => {
    const path = join(temporaryFolder(), 'queries.yaml');
    const as_rules = dashboard_queries.map((expr, at) => ({
      record: `query:number_${at}`,
      expr: expr.replaceAll(/\$__\w+/g, '5m'),
    }));
    writeFileSync(path, stringify({ groups: [{ name: 'dashboard', rules: as_rules }] }));
    const { code, stdout, stderr } = await runExternal('promtool', ['check', 'rules', path]);
    expect({ code, output: stdout + stderr }).toMatchObject({ code: 0 });
  });
});

describe('the metrics of a running server', () => {
  let text = '';
  const metricsOf = async () => {
    if (text !== '') return text;
    const server = await startServeProcess();
    await fetch(`${server.url}/v1/servers`);
    const headers = { authorization: `Bearer ${server.admin_key}` };
    await fetch(`${server.url}/v1/servers`, { headers });
    text = await (await fetch(`${server.url}/metrics`)).text();
    return text;
  };

  test('every metric and label that the rules and the dashboard name is in the output of /metrics', async () => {
    const output = await metricsOf();
    const samples = output.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const named = queries.flatMap((query) => query.match(/\b(?:keyhold|nodejs|process)_\w+/g) ?? []);
    expect(new Set(named).size).toBeGreaterThan(10);
    const missing = named.filter(
      (name) => !samples.some((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)),
    );
    expect(missing).toEqual([]);
    const labels = queries
      .flatMap((query) => query.match(/(?<=\bby \()[\w, ]+/g) ?? [])
      .flatMap((list) => list.split(', '));
    // Prometheus adds the other two.
    const own = new Set(labels.filter((label) => label !== 'instance' && label !== 'job'));
    expect(own.size).toBeGreaterThan(3);
    for (const label of own)
      expect(
        samples.some((line) => line.includes(`${label}="`)),
        label,
      ).toBe(true);
  });

  test('each error code and each result of a test has a counter before its first event', async () => {
    const output = await metricsOf();
    for (const code of ['INTERNAL', 'UNAVAILABLE'])
      expect(output).toContain(`keyhold_errors_total{code="${code}"} 0`);
    expect(output).toContain('keyhold_retests_total{result="invalid"} 0');
    expect(output).toMatch(/keyhold_errors_total\{code="UNAUTHENTICATED"\} [1-9]/);
  });

  test.skipIf(isMissing('promtool'))('Prometheus reads them', async () => {
    const path = join(temporaryFolder(), 'metrics');
    writeFileSync(path, await metricsOf());
    const { stdout, stderr } = await runExternal('sh', ['-c', `promtool check metrics < ${path}`]);
    expect(`${stdout}${stderr}`).not.toContain('error while parsing');
  });
});

test('each alert is in the table of the documentation, and KeyholdDown names the database, without which a scrape with an API key fails', () => {
  const docs = readFileSync(OPERATIONS, 'utf8').split('\n');
  const rowOf = (alert: string) => docs.find((line) => line.startsWith(`| \`${alert}\` |`));
  expect(rules.map(({ alert }) => alert).filter((alert) => rowOf(alert) === undefined)).toEqual([]);
  const down = rules.find(({ alert }) => alert === 'KeyholdDown');
  for (const text of [down?.annotations.description, rowOf('KeyholdDown')])
    expect(text).toMatch(/database.*key service.*API key/);
});

test('the panels of the dashboard have unique ids and do not overlap', () => {
  const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
});
