/**
 * `npm run demo`: the main task with a real MCP client. It starts `keyhold mcp` on a new vault, stores, changes and
 * checks credentials, and then searches the bytes of the database for everything that was stored.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { openVault } from '../../src/index.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/keyhold.js', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'keyhold-demo-'));

const GMAIL = {
  gmail_oauth_token: 'ya29.a0AfH6SMC...',
  gmail_client_id: '123456789-abcdef.apps.googleusercontent.com',
  gmail_client_secret: 'GOCSPX-abc123def456',
  gmail_signature: 'Best regards,\nKeyhold',
};
const OPENAI = 'sk-proj-abc123...';
const NEW_TOKEN = 'ya29.a0AfH6SMC_new_token...';

const heading = (text: string) => console.log(`\n${styleText('bold', text)}`);
const indent = (text: string) => console.log(text.replace(/^/gm, '  '));

async function main(): Promise<void> {
  const client = new Client({ name: 'keyhold-demo', version: '1.0.0' });
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [PROGRAM, 'mcp'],
      env: { KEYHOLD_HOME: home },
    }),
  );
  const call = async (name: string, input: Record<string, unknown>) => {
    indent(styleText('dim', `${name}(${shown(input)})`));
    const result = await client.callTool({ name, arguments: input });
    const [content] = result.content;
    if (result.isError) throw new Error(content?.type === 'text' ? content.text : 'the call failed');
    return (result.structuredContent ?? {}) as Record<string, unknown>;
  };
  const status = async () => {
    const { required_credentials, optional_credentials } = await call('get_credential_status', {
      service_id: 'gmail',
    });
    indent(JSON.stringify({ required_credentials, optional_credentials }, null, 2));
  };

  const { tools } = await client.listTools();
  heading(`An MCP client is connected to keyhold mcp, protocol ${client.getNegotiatedProtocolVersion()}`);
  indent(`Tools: ${tools.map(({ name }) => name).join(', ')}`);

  heading('List the services');
  const { services } = (await call('list_services', {})) as { services: { service_id: string }[] };
  indent(
    `${services.length} services: ${services
      .slice(0, 12)
      .map(({ service_id }) => service_id)
      .join(', ')}, ...`,
  );

  heading('Store one token');
  const stored = await call('store_credential', {
    service_id: 'svc_openai_001',
    credential_type: 'bearer',
    credential_value: OPENAI,
  });
  indent(JSON.stringify(stored, null, 2));

  heading('A service with several fields, before');
  await status();
  heading('Set them');
  const updated = await call('update_credentials', { service_id: 'gmail', credentials: GMAIL });
  indent(`${updated.message}: ${(updated.updated_fields as string[]).join(', ')}`);
  heading('After');
  await status();

  heading('Update the token alone; the rest stays');
  const partly = await call('update_credentials', {
    service_id: 'gmail',
    credentials: { gmail_oauth_token: NEW_TOKEN },
  });
  indent(
    `updated_fields: ${(partly.updated_fields as string[]).join(', ')}; all_credentials_added: ${partly.all_credentials_added}`,
  );
  await client.close();

  heading('The audit log');
  const vault = await openVault({ home });
  const { entries } = await vault.listAudit();
  for (const { position, at, user, edge, action, service_id, fields } of entries.toReversed()) {
    indent(
      `${position}  ${at}  ${user} (${edge})  ${action.padEnd(6)}  ${service_id ?? ''}  ${fields.join(', ')}`,
    );
  }
  const report = await vault.verifyAudit();
  indent(report.ok ? `The chain of ${report.entries} entries is intact.` : 'THE CHAIN IS BROKEN.');
  // Searched while the vault is open, so that the write-ahead log exists too.
  heading('Search the database files for these values and names');
  const found = search([
    ...Object.values(GMAIL),
    ...Object.keys(GMAIL),
    OPENAI,
    NEW_TOKEN,
    'openai',
    'gmail',
    'OpenAI',
    'Gmail',
    'default',
  ]);
  await vault.close();
  if (!report.ok || found > 0) throw new Error('the demo found a value in the database files');
}

/** Searches every database file for each text, plain, in base64 and in hex; prints and returns the number of hits. */
function search(texts: readonly string[]): number {
  const folder = join(home, 'data');
  let found = 0;
  for (const file of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, file));
    const hits = texts.filter((text) => {
      const plain = Buffer.from(text);
      return [plain, Buffer.from(plain.toString('base64')), Buffer.from(plain.toString('hex'))].some((form) =>
        bytes.includes(form),
      );
    });
    found += hits.length;
    indent(
      `${file}: ${bytes.length} bytes, ${hits.length} of ${texts.length} values, field ids and service names found`,
    );
  }
  return found;
}

/** The arguments of a call without their values. */
function shown(input: Record<string, unknown>): string {
  return JSON.stringify(input).replaceAll(/"(sk-|ya29|GOCSPX|\d+-abcdef|Best)[^"]*"/g, '"…"');
}

try {
  await main();
  heading('Nothing found. Only the vault can read the credentials.');
} finally {
  rmSync(home, { recursive: true, force: true });
}
