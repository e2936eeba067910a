/** The files with which others find and install Keyhold: server.json of the MCP Registry, install links, and the agent skill. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import serverJson from '../../server.json' with { type: 'json' };
import { allCommands } from '../../src/cli/all_commands.ts';
import { CLIENTS } from '../../src/cli/commands/install/clients.ts';
import { serverEntry } from '../../src/cli/commands/install/server_env.ts';
import type { ProgramContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { ROOT, readSources } from '../kit/source_tree.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const context = { version: '0' } as ProgramContext;
const program = buildProgram(context, allCommands(context));
/** How anyone can start the published package. */
const NPX = { command: 'npx', args: ['-y', 'keyhold'] };

describe('server.json', () => {
  const [npm] = serverJson.packages;

  test('server.json has the name, version and package that package.json has, as the registry verifies', () => {
    expect(serverJson.name).toBe(packageJson.mcpName);
    expect([serverJson.version, npm?.version]).toEqual([packageJson.version, packageJson.version]);
    expect(npm?.identifier).toBe(packageJson.name);
    expect(packageJson.files).toContain('skills');
  });

  test('server.json follows the rules of the schema 2025-12-11 and of the official registry', () => {
    expect(serverJson.$schema).toBe(
      'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
    );
    expect(serverJson.name).toMatch(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/);
    for (const text of [serverJson.title, serverJson.description]) {
      expect(text.length).toBeGreaterThan(0);
      expect(text.length).toBeLessThanOrEqual(100);
    }
    expect(Object.keys(serverJson).sort()).toEqual(
      ['$schema', 'description', 'name', 'packages', 'title', 'version'].sort(),
    );
    expect(npm).toMatchObject({
      registryType: 'npm',
      registryBaseUrl: 'https://registry.npmjs.org',
      transport: { type: 'stdio' },
    });
  });

  test('server.json starts a command that exists, and names settings that exist; secrets are marked and have no value', () => {
    expect(npm?.packageArguments).toEqual([{ type: 'positional', value: 'mcp' }]);
    expect(program.commands.map((command) => command.name())).toContain('mcp');
    const source = [...readSources('src').values()].map(({ text }) => text).join('\n');
    for (const variable of npm?.environmentVariables ?? []) {
      expect(source).toContain(variable.name);
      expect(variable).not.toHaveProperty('value');
      expect('isSecret' in variable).toBe(/PASSPHRASE|PASSWORD|SECRET/.test(variable.name));
    }
  });
});

describe('the install links of docs/cli.md', () => {
  const links = read('docs/cli.md').match(/^(?:cursor|vscode):\S+$/gm) ?? [];
  const entryFor = (id: string) => {
    const client = CLIENTS.find((one) => one.id === id);
    if (client === undefined) throw new Error(`no client ${id}`);
    return serverEntry(client, NPX, {});
  };

  test('the link for Cursor has the entry that keyhold install writes, with npx as the program', () => {
    const url = new URL(links.find((link) => link.startsWith('cursor:')) ?? '');
    expect(`${url.protocol}//${url.host}${url.pathname}`).toBe(
      'cursor://anysphere.cursor-deeplink/mcp/install',
    );
    expect(url.searchParams.get('name')).toBe('keyhold');
    const config = Buffer.from(url.searchParams.get('config') ?? '', 'base64').toString('utf8');
    expect(JSON.parse(config)).toEqual(entryFor('cursor'));
  });

  test('the link for VS Code has the entry that keyhold install writes, with npx as the program', () => {
    const [, query = ''] =
      /^vscode:mcp\/install\?(.*)$/.exec(links.find((link) => link.startsWith('vscode:')) ?? '') ?? [];
    expect(JSON.parse(decodeURIComponent(query))).toEqual({ name: 'keyhold', ...entryFor('vscode') });
  });

  test('the links have no environment, so no secret', () => {
    expect(links).toHaveLength(2);
    for (const id of ['cursor', 'vscode']) expect(entryFor(id)).not.toHaveProperty('env');
  });
});

describe('skills/keyhold/SKILL.md', () => {
  const text = read('skills/keyhold/SKILL.md');
  const [, head = '', body = ''] = /^---\n(.*?)\n---\n(.*)$/s.exec(text) ?? [];
  const code = [...body.matchAll(/`([^`\n]+)`/g)].map(([, inner = '']) => inner);

  test('its front matter has the name of its folder and a description of permitted length, and nothing else', () => {
    const front = parse(head) as Record<string, string>;
    expect(Object.keys(front)).toEqual(['name', 'description']);
    expect(front.name).toBe('keyhold');
    expect(front.description?.length).toBeLessThanOrEqual(1024);
    expect(text.split('\n').length).toBeLessThan(100);
  });

  test('it names every tool, and only names of tools, of their inputs and of their outputs', () => {
    const tools = TOOLS.map(({ name }) => name);
    expect(tools.filter((name) => !code.includes(name))).toEqual([]);
    const source = [...readSources('src', 'tools').values()].map((file) => file.text).join('\n');
    const names = code.filter((one) => /^[a-z]+(?:_[a-z]+)*$/.test(one));
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(source))).toEqual([]);
    const tool_like = names.filter((name) => /_(?:credentials?|services?|access|status)$/.test(name));
    expect(tool_like.filter((name) => !tools.includes(name))).toEqual([]);
  });

  test('every command and option that it names exists', () => {
    const named = code.filter((one) => one.startsWith('keyhold '));
    expect(named.length).toBeGreaterThan(2);
    for (const line of named) {
      const [, name = ''] = line.split(' ');
      const command = program.commands.find((one) => one.name() === name) as Command | undefined;
      expect(command, line).toBeDefined();
      for (const option of line.split(' -- ')[0]?.match(/--[a-z-]+/g) ?? [])
        expect(
          command?.options.map(({ long }) => long),
          line,
        ).toContain(option);
    }
  });

  test('it forbids values in the chat', () => {
    expect(body).toContain('Never ask for a value in the chat');
    expect(code.filter((one) => /credential_value=|--value/.test(one))).toEqual([]);
  });
});
