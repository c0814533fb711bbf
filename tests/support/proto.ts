/**
 * etcd's messages as protobufjs sees them, from the `.proto` texts: a second, independent implementation of the codec,
 * so that a test never trusts the code it tests.
 *
 * 64-bit fields are bigints, enums their names, bytes Buffers, and absent fields have their default values.
 */
import { globSync, readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { ROOT } from './programs.ts';

const PROTO_DIR = `${ROOT}packages/api/proto`;

/** What the options of our own in the texts extend; nothing else of the descriptor is needed. */
const OPTION_TARGETS = `syntax = "proto2";
package google.protobuf;
${['File', 'Message', 'Field', 'Enum', 'EnumValue', 'Method', 'Service']
  .map((target) => `message ${target}Options { extensions 1000 to max; }`)
  .join('\n')}`;

const CONVERSION: protobuf.IConversionOptions = {
  longs: BigInt,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
};

let loaded: protobuf.Root | undefined;

function root(): protobuf.Root {
  if (loaded !== undefined) return loaded;
  loaded = new protobuf.Root();
  protobuf.parse(OPTION_TARGETS, loaded);
  // All files go into one root, so that imports need no resolving.
  for (const file of globSync('**/*.proto', { cwd: PROTO_DIR })) {
    protobuf.parse(readFileSync(`${PROTO_DIR}/${file}`, 'utf8'), loaded, { keepCase: true });
  }
  loaded.resolveAll();
  return loaded;
}

export interface MethodInfo {
  /** As in the `:path` of a request. */
  readonly path: string;
  readonly request: string;
  readonly response: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

/** A method by `Service.Method`, where `Service` may leave out the package `etcdserverpb`. */
export function methodInfo(name: string): MethodInfo {
  const dot = name.lastIndexOf('.');
  const service = root().lookupService(
    name.indexOf('.') === dot ? `etcdserverpb.${name.slice(0, dot)}` : name.slice(0, dot),
  );
  const method = service.methods[name.slice(dot + 1)];
  if (method === undefined) throw new Error(`no method ${name}`);
  method.resolve();
  return {
    path: `/${service.fullName.slice(1)}/${method.name}`,
    request: method.resolvedRequestType!.fullName.slice(1),
    response: method.resolvedResponseType!.fullName.slice(1),
    clientStreaming: method.requestStream === true,
    serverStreaming: method.responseStream === true,
  };
}

function lookup(type: string): protobuf.Type {
  return root().lookupType(type.includes('.') ? type : `etcdserverpb.${type}`);
}

/** Encodes a plain object; strings given for bytes fields are taken as Latin-1, one character a byte. */
export function encode(type: string, message: object): Buffer {
  const target = lookup(type);
  return Buffer.from(target.encode(target.fromObject(withBytes(target, message))).finish());
}

/** Decodes into a plain object, see the module comment. */
export function decode(type: string, bytes: Uint8Array): object {
  const source = lookup(type);
  return source.toObject(source.decode(bytes), CONVERSION);
}

/** protobufjs takes a string in a bytes field for base64; tests want to write keys as they are. */
function withBytes(type: protobuf.Type, message: object): object {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    const field = type.fields[name];
    if (field === undefined) throw new Error(`${type.fullName} has no field ${name}`);
    if (value === undefined) continue;
    result[name] = field.repeated
      ? (value as unknown[]).map((item) => convert(field, item))
      : convert(field, value);
  }
  return result;
}

function convert(field: protobuf.Field, value: unknown): unknown {
  if (field.type === 'bytes' && typeof value === 'string') return Buffer.from(value, 'latin1');
  const resolved = field.resolve().resolvedType;
  return resolved instanceof protobuf.Type ? withBytes(resolved, value as object) : value;
}
