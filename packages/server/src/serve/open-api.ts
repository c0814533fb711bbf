/** The description of the JSON gateway in the form of OpenAPI 3.1, made of the tables that the gateway itself works by. */
import type { MessageDescriptor } from '@etcd/api';
import { ENUMS, MESSAGES } from '@etcd/api/descriptors';
import { SERVICES } from '@etcd/api/services';
import type { AnyMethod } from './gateway-answers.ts';

type Schema = Readonly<Record<string, unknown>>;

const BYTES: Schema = { type: 'string', contentEncoding: 'base64' };
const INTEGER_64 = (format: string): Schema => ({ type: ['string', 'integer'], format });
const SCALARS: Readonly<Record<string, Schema>> = {
  bool: { type: 'boolean' },
  bytes: BYTES,
  string: { type: 'string' },
  lossyString: { type: 'string' },
  int32: { type: 'integer', format: 'int32' },
  uint32: { type: 'integer', format: 'uint32' },
  int64: INTEGER_64('int64'),
  bigInt64: INTEGER_64('int64'),
  uint64: INTEGER_64('uint64'),
  bigUint64: INTEGER_64('uint64'),
};
const ERROR = 'Error';

/** @param version of etcd that the program calls itself. */
export function openApiDocument(version: string): string {
  const methods = SERVICES.flatMap((service) => Object.values(service.methods)) as AnyMethod[];
  const paths = methods.flatMap((method) =>
    method.gatewayPaths.map((path, i) => [path, { post: operation(method, i) }] as const),
  );
  const used = new Set<string>();
  for (const method of methods) {
    if (method.gatewayPaths.length === 0) continue;
    collect(method.request.name, used);
    collect(method.response.name, used);
  }
  const schemas = [...used].sort().map((name) => [name, schemaOf(name)] as const);
  return JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'etcd',
      version,
      description:
        'The JSON form of the gRPC API. 64-bit integers are written as strings and read as either; bytes are base64; fields at their default are left out.',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    security: [{}, { token: [] }],
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'Authorization' } },
      schemas: { ...Object.fromEntries(schemas), [ERROR]: ERROR_SCHEMA },
    },
  });
}

const ERROR_SCHEMA: Schema = {
  type: 'object',
  properties: { code: { type: 'integer', description: 'of gRPC' }, message: { type: 'string' } },
  required: ['code', 'message'],
};

function operation({ service, name, kind, request, response }: AnyMethod, index: number): Schema {
  const isStream = kind !== 'unary';
  const result = reference(response.name);
  const lines = { type: 'object', properties: { result, error: reference(ERROR) } };
  return {
    operationId: `${service.split('.').at(-1)}_${name}${index === 0 ? '' : index + 1}`,
    tags: [service],
    ...(kind === 'bidi-stream' ? { description: 'The body is a sequence of requests.' } : {}),
    requestBody: { required: true, content: { 'application/json': { schema: reference(request.name) } } },
    responses: {
      200: {
        description: isStream ? 'One line of JSON for each message.' : 'The answer.',
        content: { 'application/json': { schema: isStream ? lines : result } },
      },
      default: { description: 'An error.', content: { 'application/json': { schema: reference(ERROR) } } },
    },
  };
}

function collect(name: string, used: Set<string>): void {
  if (used.has(name)) return;
  used.add(name);
  const message: MessageDescriptor | undefined = MESSAGES.get(name);
  for (const { kind, type } of message?.fields ?? []) {
    if (kind === 'message') collect(type, used);
    else if (kind === 'enum') used.add(type);
  }
}

function schemaOf(name: string): Schema {
  const message = MESSAGES.get(name);
  if (message === undefined) {
    return { type: 'string', enum: ENUMS.get(name)!.values.map((value) => value.name) };
  }
  const properties = message.fields.map(({ name: field, kind, type, isRepeated, isMap }) => {
    const one = SCALARS[kind] ?? reference(type);
    if (isMap) return [field, { type: 'object', additionalProperties: mapValue(type) }] as const;
    return [field, isRepeated ? { type: 'array', items: one } : one] as const;
  });
  return { type: 'object', properties: Object.fromEntries(properties) };
}

function mapValue(entry: string): Schema {
  const { kind, type } = MESSAGES.get(entry)!.fields[1]!;
  return SCALARS[kind] ?? reference(type);
}

function reference(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}
