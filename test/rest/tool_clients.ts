/**
 * Clients that send what the vendors' own SDKs send and read what those read: only the base URL and the key differ. See
 * the documentation of ToolRouter and Danube.
 */

export type Json = Record<string, unknown>;

async function fetchJson(url: string, init: RequestInit): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url, init);
  return { status: response.status, body: await response.json() };
}

/** ToolRouter's Python client: a stack's own list of tools, and calls by name. Errors are those of the request library. */
export class ToolRouterClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor(client_id: string, api_key: string, base_url: string) {
    this.#base = `${base_url}/${client_id}`;
    this.#headers = { Authorization: `Bearer ${api_key}` };
  }

  async listTools(schema = 'openai'): Promise<Json[]> {
    const { body } = await fetchJson(`${this.#base}/list_tools?schema=${schema}`, { headers: this.#headers });
    return ((body as Json).tools ?? []) as Json[];
  }

  async callTool(tool_name: string, tool_input: Json): Promise<unknown> {
    const { body } = await fetchJson(`${this.#base}/call_tool`, {
      method: 'POST',
      headers: { ...this.#headers, 'Content-Type': 'application/json' },
      body: JSON.stringify({ tool_name, tool_input }),
    });
    return (body as Json).result;
  }
}

/** The error of Danube's client for a 403 whose body names the service. */
export class ConfigurationRequiredError extends Error {
  readonly service_id: string;
  readonly service_name: string;
  constructor({ service_id, service_name }: Json) {
    super('configuration required');
    this.service_id = String(service_id);
    this.service_name = String(service_name);
  }
}

/** Danube's TypeScript client. */
export class DanubeClient {
  readonly #base: string;
  readonly #key: string;

  constructor(api_key: string, base_url: string) {
    this.#base = base_url;
    this.#key = api_key;
  }

  async #request<Body>(method: string, path: string, body?: unknown): Promise<Body> {
    const headers = { 'danube-api-key': this.#key, 'Content-Type': 'application/json' };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetchJson(`${this.#base}${path}`, { method, headers, ...sent });
    const read = response.body as Json;
    if (
      response.status === 403 &&
      typeof read.service_id === 'string' &&
      typeof read.service_name === 'string'
    )
      throw new ConfigurationRequiredError(read);
    if (response.status >= 400) throw new Error(`${response.status}: ${JSON.stringify(read)}`);
    return read as Body;
  }

  readonly store = (service_id: string, credential_type: string, credential_value: string) =>
    this.#request<Json>('POST', '/v1/credentials/store', { service_id, credential_type, credential_value });
  readonly searchServices = (query: string, limit = 10) =>
    this.#request<Json[]>(
      'GET',
      `/v1/services/public?${new URLSearchParams({ query, limit: String(limit) })}`,
    );
  readonly getService = (id: string) => this.#request<Json>('GET', `/v1/services/public/${id}`);
  readonly listTools = (service_id: string, limit = 10) =>
    this.#request<Json & { tools: Json[] }>('GET', `/v1/services/${service_id}/tools?limit=${limit}`);
  readonly searchTools = (query: string, service_id?: string) =>
    this.#request<Json[]>(
      'GET',
      `/v1/tools/search?${new URLSearchParams({ query, limit: '10', ...(service_id === undefined ? {} : { service_id }) })}`,
    );
  readonly getTool = (id: string) => this.#request<Json>('GET', `/v1/tools/${id}`);
  readonly call = (tool_id: string, tool_input: Json) =>
    this.#request<Json>('POST', `/v1/tools/call/${tool_id}`, { tool_input });
  readonly batch = (calls: readonly { tool_id: string; tool_input: Json }[]) =>
    this.#request<{ results: Json[] }>('POST', '/v1/tools/call/batch', { calls });
}
