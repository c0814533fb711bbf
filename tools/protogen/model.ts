/**
 * The protocol as the generator sees it: what the `.proto` files say, with every choice about the TypeScript form already
 * made (names, number forms, what is written when zero). The emitters only print.
 */
import protobuf from 'protobufjs';
import { NUMBER_TYPES } from './kinds-of-numbers.ts';

export type Scalar = 'int64' | 'uint64' | 'int32' | 'uint32' | 'bool' | 'bytes' | 'string';
export type Kind = Scalar | 'bigInt64' | 'bigUint64' | 'lossyString' | 'enum' | 'message';

export interface Field {
  readonly number: number;
  /** As the `.proto` file has it. */
  readonly name: string;
  /** As protobuf's JSON form has it. */
  readonly jsonName: string;
  /** As the TypeScript class has it. */
  readonly property: string;
  readonly kind: Kind;
  /** The declared type: of a scalar, its name; of an enum or message, the full name. */
  readonly type: string;
  readonly isRepeated: boolean;
  readonly isPacked: boolean;
  readonly isMap: boolean;
  readonly alwaysEncoded: boolean;
  readonly explicitPresence: boolean;
  readonly oneof: string | null;
  readonly since: string | null;
}

export interface Message {
  /** Full name, as `etcdserverpb.PutRequest`. */
  readonly name: string;
  readonly typeName: string;
  readonly package: string;
  /** In the order of the `.proto` file: that of the class's fields. Encoders go by number. */
  readonly fields: readonly Field[];
  readonly since: string | null;
  readonly isMapEntry: boolean;
  /** Whether it can contain itself. */
  readonly isRecursive: boolean;
}

export interface Enum {
  readonly name: string;
  readonly typeName: string;
  readonly package: string;
  readonly values: readonly {
    readonly name: string;
    readonly number: number;
    readonly since: string | null;
  }[];
  readonly since: string | null;
}

export interface Method {
  readonly name: string;
  readonly request: string;
  readonly response: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
  readonly gatewayPaths: readonly string[];
}

export interface Service {
  readonly name: string;
  readonly methods: readonly Method[];
}

export interface Model {
  /** By full name, in the order of the files. */
  readonly messages: ReadonlyMap<string, Message>;
  readonly enums: ReadonlyMap<string, Enum>;
  readonly services: readonly Service[];
}

/**
 * The 64-bit fields that identify something (members, clusters, leases, requests) or exceed 2^53 in practice: BigInts.
 * Every other 64-bit field counts something and is a Number.
 */
const BIGINT_FIELDS: Readonly<Record<string, readonly string[]>> = {
  'etcdserverpb.AlarmMember': ['memberID'],
  'etcdserverpb.AlarmRequest': ['memberID'],
  'etcdserverpb.Compare': ['lease'],
  'etcdserverpb.InternalRaftRequest': ['ID'],
  'etcdserverpb.LeaseCheckpoint': ['ID'],
  'etcdserverpb.LeaseGrantRequest': ['ID'],
  'etcdserverpb.LeaseGrantResponse': ['ID'],
  'etcdserverpb.LeaseKeepAliveRequest': ['ID'],
  'etcdserverpb.LeaseKeepAliveResponse': ['ID'],
  'etcdserverpb.LeaseRevokeRequest': ['ID'],
  'etcdserverpb.LeaseStatus': ['ID'],
  'etcdserverpb.LeaseTimeToLiveRequest': ['ID'],
  'etcdserverpb.LeaseTimeToLiveResponse': ['ID'],
  'etcdserverpb.Member': ['ID'],
  'etcdserverpb.MemberPromoteRequest': ['ID'],
  'etcdserverpb.MemberRemoveRequest': ['ID'],
  'etcdserverpb.MemberUpdateRequest': ['ID'],
  'etcdserverpb.Metadata': ['NodeID', 'ClusterID'],
  'etcdserverpb.MoveLeaderRequest': ['targetID'],
  'etcdserverpb.PutRequest': ['lease'],
  // Expiration and Time are Unix nanoseconds.
  'etcdserverpb.Request': ['ID', 'Expiration', 'Time'],
  'etcdserverpb.RequestHeader': ['ID'],
  'etcdserverpb.ResponseHeader': ['cluster_id', 'member_id'],
  'etcdserverpb.StatusResponse': ['leader'],
  'etcdserverpb.WatchCancelRequest': ['watch_id'],
  'etcdserverpb.WatchCreateRequest': ['watch_id'],
  'etcdserverpb.WatchResponse': ['watch_id'],
  'leasepb.Lease': ['ID'],
  'membershippb.ClusterMemberAttrSetRequest': ['member_ID'],
  'membershippb.Member': ['ID'],
  'mvccpb.KeyValue': ['lease'],
  'raftpb.ConfChange': ['node_id', 'id'],
  'raftpb.ConfChangeSingle': ['node_id'],
  'raftpb.ConfState': ['voters', 'learners', 'voters_outgoing', 'learners_next'],
  'raftpb.HardState': ['vote'],
  'raftpb.Message': ['to', 'from', 'vote'],
  'v3electionpb.CampaignRequest': ['lease'],
  'v3electionpb.LeaderKey': ['lease'],
  'v3lockpb.LockRequest': ['lease'],
};

/**
 * The 64-bit fields of requests that are Numbers nevertheless. A client may send any value in them, and one beyond 2^53 is rounded: so
 * they are those, and only those, that are compared with our own counters, all of which stay below 2^53, or cut to a bound; none of them
 * names anything, or comes back to a client.
 */
const ROUNDED_REQUEST_FIELDS: Readonly<Record<string, readonly string[]>> = {
  'etcdserverpb.CompactionRequest': ['revision'],
  'etcdserverpb.Compare': ['version', 'create_revision', 'mod_revision'],
  'etcdserverpb.HashKVRequest': ['revision'],
  // Refused beyond nine billion seconds.
  'etcdserverpb.LeaseGrantRequest': ['TTL'],
  'etcdserverpb.RangeRequest': [
    'limit',
    'revision',
    'min_mod_revision',
    'max_mod_revision',
    'min_create_revision',
    'max_create_revision',
  ],
  'etcdserverpb.WatchCreateRequest': ['start_revision'],
  'v3electionpb.LeaderKey': ['rev'],
};

const SCALARS: ReadonlySet<string> = new Set<Scalar>([
  'int64',
  'uint64',
  'int32',
  'uint32',
  'bool',
  'bytes',
  'string',
]);

/** Reads `files` (paths below `protoRoot`). Only packages that these files declare are in the result. */
export function loadModel(protoRoot: string, files: readonly string[]): Model {
  const root = new protobuf.Root();
  const wellKnown = new URL('../../node_modules/protobufjs/', import.meta.url).pathname;
  root.resolvePath = (_origin, target) =>
    target.startsWith('google/') ? wellKnown + target : `${protoRoot}/${target}`;
  root.loadSync([...files], { keepCase: true });
  root.resolveAll();
  const reader = new ModelReader();
  reader.readNamespace(root);
  const model = { messages: reader.messages(), enums: reader.enums, services: reader.services };
  checkRequestNumbers(model);
  return model;
}

/** Throws for a 64-bit number that a client chooses, unless it is one of those for which rounding makes no difference. */
export function checkRequestNumbers({ messages, services }: Pick<Model, 'messages' | 'services'>): void {
  const names = new Set(services.flatMap(({ methods }) => methods.map(({ request }) => request)));
  for (const name of names) {
    for (const { kind, type, name: field } of messages.get(name)!.fields) {
      if (kind === 'message') names.add(type);
      if (kind !== 'int64' && kind !== 'uint64') continue;
      if (ROUNDED_REQUEST_FIELDS[name]?.includes(field)) continue;
      throw new Error(`${name}.${field} is chosen by clients: a Number would round it`);
    }
  }
}

/** `memberID` → `memberId`, `cluster_id` → `clusterId`, `peerURLs` → `peerUrls`, `TTL` → `ttl`. */
export function propertyName(protoName: string): string {
  // An acronym with a plural s is one word, then a run of capitals, then an ordinary word.
  const words = protoName.match(/[A-Z]+s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+/g) ?? [];
  return words
    .map((word, i) => {
      const lower = word.toLowerCase();
      return i === 0 ? lower : lower[0]!.toUpperCase() + lower.slice(1);
    })
    .join('');
}

class ModelReader {
  readonly enums = new Map<string, Enum>();
  readonly services: Service[] = [];
  readonly #messages = new Map<string, Omit<Message, 'isRecursive'>>();
  readonly #bigIntFieldsSeen = new Set<string>();
  readonly #integersSeen = new Set<string>();

  readNamespace(namespace: protobuf.NamespaceBase): void {
    for (const item of namespace.nestedArray) {
      if (item.fullName.startsWith('.google') || item.fullName === '.codec') continue;
      if (item instanceof protobuf.Type) this.#readMessage(item);
      else if (item instanceof protobuf.Enum) this.#readEnum(item);
      else if (item instanceof protobuf.Service) this.#readService(item);
      if (item instanceof protobuf.Namespace) this.readNamespace(item);
    }
  }

  messages(): Map<string, Message> {
    for (const [message, names] of Object.entries(BIGINT_FIELDS)) {
      for (const name of names) {
        if (!this.#bigIntFieldsSeen.has(`${message}.${name}`))
          throw new Error(`no 64-bit field ${message}.${name}`);
      }
    }
    for (const field of NUMBER_TYPES.keys()) {
      if (!this.#integersSeen.has(field)) throw new Error(`no 64-bit field ${field}`);
    }
    const complete = new Map<string, Message>();
    for (const [name, message] of this.#messages) {
      complete.set(name, { ...message, isRecursive: this.#reaches(name, name, new Set()) });
    }
    return complete;
  }

  #readMessage(type: protobuf.Type): void {
    const name = fullName(type);
    const fields = type.fieldsArray.map((field) => this.#readField(name, field));
    this.#messages.set(name, {
      name,
      typeName: capitalized(type.name),
      package: packageOf(type),
      fields,
      since: option(type, '(versionpb.etcd_version_msg)'),
      isMapEntry: false,
    });
  }

  #readField(message: string, field: protobuf.Field): Field {
    const isMap = field instanceof protobuf.MapField;
    const { kind, type } = isMap ? this.#addMapEntry(message, field) : this.#readType(message, field);
    return {
      ...plainField(field.name, field.id, kind, type),
      isRepeated: field.repeated || isMap,
      isPacked: field.repeated && field.packed && isVarint(kind),
      isMap,
      alwaysEncoded: field.options?.['(codec.always_encoded)'] === true,
      explicitPresence: field.options?.['(codec.explicit_presence)'] === true,
      oneof: field.partOf === null ? null : field.partOf.name,
      since: option(field, '(versionpb.etcd_version_field)'),
    };
  }

  #readType(message: string, field: protobuf.FieldBase): { kind: Kind; type: string } {
    const { resolvedType, type } = field;
    if (resolvedType instanceof protobuf.Enum) return { kind: 'enum', type: fullName(resolvedType) };
    if (resolvedType !== null) return { kind: 'message', type: fullName(resolvedType) };
    if (!SCALARS.has(type)) throw new Error(`${message}.${field.name}: no codec for ${type}`);
    // A string that can be present and empty is one of proto2, whose strings nobody validates.
    if (type === 'string' && field instanceof protobuf.Field && field.hasPresence)
      return { kind: 'lossyString', type };
    if (type === 'int64' || type === 'uint64') this.#integersSeen.add(`${message}.${field.name}`);
    if (BIGINT_FIELDS[message]?.includes(field.name)) {
      if (type !== 'int64' && type !== 'uint64') throw new Error(`${message}.${field.name}: not 64 bits`);
      this.#bigIntFieldsSeen.add(`${message}.${field.name}`);
      return { kind: type === 'int64' ? 'bigInt64' : 'bigUint64', type };
    }
    return { kind: type as Scalar, type };
  }

  /** On the wire a map is a repeated message of key and value; here too. */
  #addMapEntry(message: string, map: protobuf.MapField): { kind: Kind; type: string } {
    if (map.keyType !== 'string') throw new Error(`${message}.${map.name}: no codec for ${map.keyType} keys`);
    const typeName = `${capitalized(propertyName(map.name))}Entry`;
    const value = this.#readType(message, map);
    const entry = {
      name: `${message}.${typeName}`,
      typeName,
      package: packageOf(map),
      fields: [plainField('key', 1, 'string', 'string'), plainField('value', 2, value.kind, value.type)],
      since: null,
      isMapEntry: true,
    };
    this.#messages.set(entry.name, entry);
    return { kind: 'message', type: entry.name };
  }

  #readEnum(item: protobuf.Enum): void {
    const name = fullName(item);
    // A nested enum keeps its own name unless that says nothing.
    const typeName = item.name === 'Type' ? `${item.parent!.name}Type` : item.name;
    const values = Object.entries(item.values).map(([value, number]) => ({
      name: value,
      number,
      since: text(item.valuesOptions?.[value]?.['(versionpb.etcd_version_enum_value)']),
    }));
    const since = option(item, '(versionpb.etcd_version_enum)');
    this.enums.set(name, { name, typeName, package: packageOf(item), values, since });
  }

  #readService(service: protobuf.Service): void {
    const methods = service.methodsArray.map((method) => ({
      name: method.name,
      request: fullName(method.resolvedRequestType!),
      response: fullName(method.resolvedResponseType!),
      clientStreaming: method.requestStream === true,
      serverStreaming: method.responseStream === true,
      gatewayPaths: (method.parsedOptions ?? []).flatMap((each: Record<string, unknown>) => {
        const path = each['(codec.gateway_path)'];
        return typeof path === 'string' ? [path] : [];
      }),
    }));
    this.services.push({ name: fullName(service), methods });
  }

  #reaches(from: string, target: string, visited: Set<string>): boolean {
    for (const field of this.#messages.get(from)!.fields) {
      if (field.kind !== 'message') continue;
      if (field.type === target) return true;
      if (visited.has(field.type)) continue;
      visited.add(field.type);
      if (this.#reaches(field.type, target, visited)) return true;
    }
    return false;
  }
}

function fullName(item: protobuf.ReflectionObject): string {
  return item.fullName.slice(1);
}

/** Whether a repeated field of this kind can be packed. */
export function isVarint(kind: Kind): boolean {
  return kind !== 'bytes' && kind !== 'string' && kind !== 'lossyString' && kind !== 'message';
}

/** Messages may be nested in messages; the package is the part of the name above all of them. */
function packageOf(item: protobuf.ReflectionObject): string {
  let parent = item.parent!;
  while (parent instanceof protobuf.Type) parent = parent.parent!;
  return fullName(parent);
}

function plainField(name: string, number: number, kind: Kind, type: string): Field {
  return {
    number,
    name,
    jsonName: name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
    property: propertyName(name),
    kind,
    type,
    isRepeated: false,
    isPacked: false,
    isMap: false,
    alwaysEncoded: false,
    explicitPresence: false,
    oneof: null,
    since: null,
  };
}

function option(item: protobuf.ReflectionObject, name: string): string | null {
  return text(item.options?.[name]);
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function capitalized(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
