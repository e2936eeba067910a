/**
 * The tools that a service offers over the APIs that list tools: `request`, which makes any HTTP request, and the example
 * operations of its definition.
 */
import type { Operation } from '../../contract/service/operations.ts';
import type { Service } from '../../contract/service/service.ts';
import { uuidOfName } from '../definition.ts';

export interface ServiceTool {
  /** UUID version 5 of `slug/name`: it never changes. */
  readonly id: string;
  /** Unique in the service. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Absent: the tool `request`, whose input is that of `call_service`. */
  readonly operation?: Operation;
}

const tools = new WeakMap<Service, readonly ServiceTool[]>();

/** The tools of a service; an empty list if it is not used over HTTP. */
export function toolsOf(service: Service): readonly ServiceTool[] {
  const known = tools.get(service) ?? makeTools(service);
  tools.set(service, known);
  return known;
}

/** The name of a tool among the tools of all services. */
export function fullToolName({ slug }: Pick<Service, 'slug'>, { name }: ServiceTool): string {
  return `${slug}__${name}`;
}

/** Finds a tool by its UUID or its full name; undefined if no service in the list has it. */
export function findTool(
  services: Iterable<Service>,
  tool_id: string,
): { readonly service: Service; readonly tool: ServiceTool } | undefined {
  const wanted = tool_id.toLowerCase();
  for (const service of services) {
    const tool = toolsOf(service).find((one) => one.id === wanted || fullToolName(service, one) === wanted);
    if (tool !== undefined) return { service, tool };
  }
  return undefined;
}

function makeTools(service: Service): readonly ServiceTool[] {
  if (service.injection.in === 'none' && service.modes === undefined) return [];
  const request: ServiceTool = {
    id: toolId(service, 'request'),
    name: 'request',
    title: `${service.name} request`,
    description: `Makes an HTTP request to ${service.name} with the stored credential.`,
  };
  const operations = (service.operations ?? []).map((operation) => ({
    id: toolId(service, operation.id),
    name: operation.id,
    title: operation.title,
    description: operation.description,
    operation,
  }));
  return [request, ...operations];
}

function toolId({ slug }: Service, name: string): string {
  return uuidOfName(`${slug}/${name}`);
}
