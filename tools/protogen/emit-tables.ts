/** Prints what generic code reads: the services with their methods, and the descriptors of messages and enums. */
import { type Enum, type Field, type Method, type Model, propertyName } from './model.ts';

/** Text of a module, and what it uses of which other module. */
export interface Table {
  readonly body: string;
  readonly imports: ReadonlyMap<string, readonly string[]>;
}

export function emitServices(model: Model, moduleName: (packageName: string) => string): Table {
  const imports = new Map<string, Set<string>>();
  const codec = (name: string): string => {
    const message = model.messages.get(name)!;
    const module = `./${moduleName(message.package)}.ts`;
    const names = imports.get(module) ?? new Set();
    imports.set(module, names.add(`${message.typeName}Codec`));
    return `${message.typeName}Codec`;
  };
  const constants: string[] = [];
  const parts = model.services.map((service) => {
    const constant = `${capitalized(propertyName(service.name.split('.').at(-1)!))}Service`;
    constants.push(constant);
    const methods = service.methods.map((method) => {
      const paths = method.gatewayPaths.map(quoted).join(', ');
      const args = [service.name, method.name, kindOf(method)].map(quoted);
      return `${propertyName(method.name)}: method(${args.join(', ')}, ${codec(method.request)}, ${codec(method.response)}, [${paths}]),`;
    });
    return `/** ${service.name}. */
export const ${constant} = {
  name: ${quoted(service.name)},
  methods: {
${methods.join('\n')}
  },
} as const satisfies Service;
`;
  });
  const all = `/** Every service of a member. */
export const SERVICES: readonly Service[] = [${constants.join(', ')}];
`;
  const lists = new Map([...imports].map(([module, names]) => [module, [...names].sort()]));
  lists.set('../service.ts', ['method', 'Service']);
  return { body: [...parts, all].join('\n'), imports: lists };
}

export function emitDescriptors(model: Model, moduleName: (packageName: string) => string): string {
  const messages = [...model.messages.values()].map((message) => {
    const codec = `${moduleName(message.package)}.${message.typeName}Codec`;
    const fields = message.fields.map(describeField).join('\n');
    return `message(${codec}, ${nullable(message.since)}, [${fields}]),`;
  });
  return `/** Every message by full name. */
export const MESSAGES: ReadonlyMap<string, MessageDescriptor> = byName([
${messages.join('\n')}
]);

/** Every enum by full name. */
export const ENUMS: ReadonlyMap<string, EnumDescriptor> = byName([
${[...model.enums.values()].map(describeEnum).join('\n')}
]);
`;
}

function describeField(field: Field): string {
  const more: string[] = [];
  const isScalar = field.kind !== 'message' && field.kind !== 'enum';
  if (field.property !== field.jsonName) more.push(`property: ${quoted(field.property)}`);
  if (!isScalar) more.push(`type: ${quoted(field.type)}`);
  for (const flag of ['isRepeated', 'isPacked', 'isMap', 'alwaysEncoded', 'explicitPresence'] as const) {
    if (field[flag]) more.push(`${flag}: true`);
  }
  if (field.oneof !== null) more.push(`oneof: ${quoted(field.oneof)}`);
  if (field.since !== null) more.push(`since: ${quoted(field.since)}`);
  const args = [String(field.number), quoted(field.name), quoted(field.kind)];
  if (more.length > 0) args.push(`{ ${more.join(', ')} }`);
  return `field(${args.join(', ')}),`;
}

function describeEnum(item: Enum): string {
  const values = item.values.map((value) => {
    const since = value.since === null ? '' : `, ${quoted(value.since)}`;
    return `enumValue(${quoted(value.name)}, ${value.number}${since}),`;
  });
  return `{ name: ${quoted(item.name)}, since: ${nullable(item.since)}, values: [${values.join('\n')}] },`;
}

function kindOf(method: Method): string {
  if (method.clientStreaming) return method.serverStreaming ? 'bidi-stream' : 'client-stream';
  return method.serverStreaming ? 'server-stream' : 'unary';
}

function quoted(text: string): string {
  return `'${text}'`;
}

function nullable(text: string | null): string {
  return text === null ? 'null' : quoted(text);
}

function capitalized(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
