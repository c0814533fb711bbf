/**
 * Prints a package's enums and messages: for each message a flat class, `mergeX`, `decodeX`, `sizeX`, `writeX`,
 * `encodeX` and the codec as a value. What is printed is straight-line code; nothing reads a schema at run time.
 */
import { NUMBER_TYPES } from './kinds-of-numbers.ts';
import { type Enum, type Field, isVarint, type Kind, type Message, type Model } from './model.ts';

interface KindTraits {
  readonly tsType: string;
  readonly zero: string;
  /** Part of the names of its reader, sizer and writer. */
  readonly reader: string;
  readonly writer: string;
}

const TRAITS: Readonly<Record<Exclude<Kind, 'message'>, KindTraits>> = {
  int64: { tsType: 'number', zero: '0', reader: 'readInt64', writer: 'Int64' },
  uint64: { tsType: 'number', zero: '0', reader: 'readUint64', writer: 'Uint64' },
  int32: { tsType: 'number', zero: '0', reader: 'readInt32', writer: 'Int32' },
  uint32: { tsType: 'number', zero: '0', reader: 'readUint32', writer: 'Uint32' },
  enum: { tsType: 'number', zero: '0', reader: 'readInt32', writer: 'Int32' },
  bool: { tsType: 'boolean', zero: 'false', reader: 'readBool', writer: 'Bool' },
  bigInt64: { tsType: 'bigint', zero: '0n', reader: 'readBigInt64', writer: 'BigInt' },
  bigUint64: { tsType: 'bigint', zero: '0n', reader: 'readBigUint64', writer: 'BigInt' },
  bytes: { tsType: 'Uint8Array', zero: 'EMPTY_BYTES', reader: 'readBytes', writer: 'Bytes' },
  string: { tsType: 'string', zero: "''", reader: 'readString', writer: 'String' },
  lossyString: { tsType: 'string', zero: "''", reader: 'readStringLossy', writer: 'String' },
};

/** Wire types of tags. */
const VARINT = 0;
const DELIMITED = 2;

/** The lines of one package, without its imports. */
export function emitPackage(model: Model, packageName: string): string {
  const enums = [...model.enums.values()].filter((item) => item.package === packageName);
  const messages = [...model.messages.values()].filter((item) => item.package === packageName);
  return [
    ...enums.map(emitEnum),
    ...messages.map((message) => new MessageEmitter(model, message).emit()),
  ].join('\n');
}

function emitEnum(item: Enum): string {
  const values = item.values.map((value) => `  ${value.name}: ${value.number},`);
  return `/** ${item.name}. Fields hold plain numbers, for a newer peer's values pass through. */
export const ${item.typeName} = {
${values.join('\n')}
} as const;
`;
}

class MessageEmitter {
  readonly #model: Model;
  readonly #message: Message;
  readonly #name: string;
  readonly #byNumber: readonly Field[];

  constructor(model: Model, message: Message) {
    this.#model = model;
    this.#message = message;
    this.#name = message.typeName;
    this.#byNumber = message.fields.toSorted((a, b) => a.number - b.number);
  }

  emit(): string {
    return [
      ...this.#tagConstants(),
      this.#classText(),
      ...this.#clearFunctions(),
      this.#merge(),
      this.#decode(),
      this.#size(),
      this.#write(),
      this.#codec(),
    ].join('\n');
  }

  #classText(): string {
    const fields = this.#message.fields.map((field) => `  ${this.#declaration(field)}`);
    const tags = this.#scalarOneofs().map(
      (oneof) =>
        `  /** Which of the fields of ${oneof} is there: see {@link ${this.#tagName(oneof)}}. */\n  ${camel(oneof)}: number = 0;`,
    );
    return `/** ${this.#message.name}${this.#message.since === null ? '' : `, since etcd ${this.#message.since}`}. */
export class ${this.#name} {
${[...fields, ...tags].join('\n')}
  unknown: UnknownFields | null = null;

  constructor(init?: Partial<${this.#name}>) {
    if (init !== undefined) Object.assign(this, init);
  }
}
`;
  }

  #declaration(field: Field): string {
    const { property } = field;
    if (field.isRepeated) return `${property}: ${this.#elementType(field)}[] = [];`;
    if (field.kind === 'message') {
      const type = this.#elementType(field);
      return field.alwaysEncoded
        ? `${property}: ${type} = new ${type}();`
        : `${property}: ${type} | null = null;`;
    }
    const { zero } = TRAITS[field.kind];
    const tsType = this.#elementType(field);
    if (field.explicitPresence) return `${property}: ${tsType} | null = null;`;
    return `${property}: ${tsType} = ${zero};`;
  }

  #elementType(field: Field): string {
    if (field.kind === 'message') return this.#typeOf(field).typeName;
    return NUMBER_TYPES.get(`${this.#message.name}.${field.name}`) ?? TRAITS[field.kind].tsType;
  }

  #typeOf(field: Field): Message {
    return this.#model.messages.get(field.type)!;
  }

  /** Oneofs with a scalar member: null can't say that a scalar is absent, so a tag does. */
  #scalarOneofs(): string[] {
    const scalars = this.#message.fields.filter((field) => field.oneof !== null && field.kind !== 'message');
    return [...new Set(scalars.map((field) => field.oneof!))];
  }

  #isTagged(field: Field): boolean {
    return field.oneof !== null && this.#scalarOneofs().includes(field.oneof);
  }

  #members(oneof: string): Field[] {
    return this.#byNumber.filter((field) => field.oneof === oneof);
  }

  #tagName(oneof: string): string {
    return this.#name + camel(oneof).replace(/^./, (letter) => letter.toUpperCase());
  }

  #tagConstants(): string[] {
    return this.#scalarOneofs().map((oneof) => {
      const members = this.#members(oneof).map((field) => `  ${field.property}: ${field.number},`);
      return `/** Values of {@link ${this.#name}.${camel(oneof)}}: the field numbers. A member that is not zero is written without it too. */
export const ${this.#tagName(oneof)} = {
  none: 0,
${members.join('\n')}
} as const;
`;
    });
  }

  #clearFunctions(): string[] {
    return this.#scalarOneofs().map((oneof) => {
      const resets = this.#members(oneof).map((field) => `  m.${field.property} = ${this.#zero(field)};`);
      return `function clear${this.#tagName(oneof)}(m: ${this.#name}): void {
${resets.join('\n')}
}
`;
    });
  }

  #zero(field: Field): string {
    return field.kind === 'message' ? 'null' : TRAITS[field.kind].zero;
  }

  #merge(): string {
    const recursive = this.#message.isRecursive;
    const cases = this.#byNumber.flatMap((field) => this.#cases(field));
    const skip = 'm.unknown = keepUnknown(m.unknown, bytes, tagStart, end);\nposition = cursor;';
    return `/** Reads \`bytes[start, end)\` into \`m\`, as protobuf merges: lists grow, sub-messages merge, the rest is replaced. */
export function merge${this.#name}(m: ${this.#name}, bytes: Uint8Array, start: number, end: number${recursive ? ', depth: number' : ''}): ${this.#name} {
${recursive ? 'checkDepth(depth, start);' : ''}
  let position = start;
  while (position < end) {
    const tagStart = position;
    ${
      cases.length === 0
        ? skip
        : `let tag = bytes[position++]!;
    if (tag >= 0x80) {
      tag = readTag(bytes, tagStart, end);
      position = cursor;
    }
    switch (tag) {
${cases.join('\n')}
      default:
        ${skip}
    }`
    }
  }
  return m;
}
`;
  }

  #cases(field: Field): string[] {
    if (field.kind === 'message') return [this.#messageCase(field)];
    const { reader } = TRAITS[field.kind];
    const read = `${reader}(bytes, position, end)`;
    if (!field.isRepeated) return [this.#case(field, wireTypeOf(field), this.#assignment(field, read))];
    const one = this.#case(
      field,
      wireTypeOf(field),
      `m.${field.property}.push(${read});\nposition = cursor;`,
    );
    if (!isVarint(field.kind)) return [one];
    const packed = this.#case(
      field,
      DELIMITED,
      `const limit = readLimit(bytes, position, end);
position = cursor;
while (position < limit) {
  m.${field.property}.push(${reader}(bytes, position, limit));
  position = cursor;
}`,
    );
    return [packed, one];
  }

  #assignment(field: Field, read: string): string {
    const assign = `m.${field.property} = ${read};\nposition = cursor;`;
    if (!this.#isTagged(field)) return assign;
    const { oneof } = field;
    return `clear${this.#tagName(oneof!)}(m);\n${assign}\nm.${camel(oneof!)} = ${field.number};`;
  }

  #messageCase(field: Field): string {
    const type = this.#typeOf(field);
    const depth = !type.isRecursive ? '' : this.#message.isRecursive ? ', depth + 1' : ', 0';
    const { property } = field;
    const into = (target: string): string => `merge${type.typeName}(${target}, bytes, cursor, limit${depth})`;
    const fresh = `new ${type.typeName}()`;
    let store = `m.${property} = ${into(`m.${property} ?? ${fresh}`)};`;
    if (field.isRepeated) store = appendElement(property, into(fresh));
    else if (field.alwaysEncoded) store = `${into(`m.${property}`)};`;
    const others =
      field.oneof === null ? [] : this.#members(field.oneof).filter((member) => member !== field);
    const clear = others.map((member) => `m.${member.property} = null;\n`).join('');
    return this.#case(
      field,
      DELIMITED,
      `const limit = readLimit(bytes, position, end);\n${clear}${store}\nposition = limit;`,
    );
  }

  #case(field: Field, wireType: number, body: string): string {
    const tag = field.number * 8 + wireType;
    const block = body.includes('const ') ? `{\n${body}\nbreak;\n}` : `\n${body}\nbreak;`;
    return `      case ${tag}: ${block}`;
  }

  #decode(): string {
    const name = this.#name;
    return `export function decode${name}(bytes: Uint8Array, start = 0, end: number = bytes.length): ${name} {
  checkRange(bytes, start, end);
  try {
    return merge${name}(new ${name}(), bytes, start, end${this.#message.isRecursive ? ', 0' : ''});
  } catch (error) {
    throw inMessage(error, '${this.#message.name}', start);
  }
}
`;
  }

  #size(): string {
    const unknown = 'm.unknown === null ? 0 : m.unknown.length;';
    const lines = this.#byNumber.map((field) => this.#sizeField(field));
    const body =
      lines.length === 0 ? `return ${unknown}` : `let size = ${unknown}\n${lines.join('\n')}\nreturn size;`;
    return `export function size${this.#name}(m: ${this.#name}): number {\n${body}\n}\n`;
  }

  #sizeField(field: Field): string {
    const tagSize = tagBytes(field).length;
    const value = `m.${field.property}`;
    if (field.isPacked) {
      return `if (${value}.length !== 0) size += ${tagSize} + sizeDelimited(size${traitsOf(field).writer}s(${value}));`;
    }
    if (field.isRepeated) {
      return `for (const item of ${value}) size += ${tagSize} + ${this.#sizeValue(field, 'item')};`;
    }
    const size =
      field.kind === 'bool'
        ? `size += ${tagSize + 1};`
        : `size += ${tagSize} + ${this.#sizeValue(field, value)};`;
    const condition = this.#presence(field);
    return condition === null ? size : `if (${condition}) ${size}`;
  }

  #sizeValue(field: Field, value: string): string {
    switch (field.kind) {
      case 'message':
        return `sizeDelimited(size${this.#typeOf(field).typeName}(${value}))`;
      case 'bytes':
        return `sizeDelimited(${value}.length)`;
      default:
        return `size${TRAITS[field.kind].writer}(${value})`;
    }
  }

  /** When the field is written; null is always. */
  #presence(field: Field): string | null {
    const value = `m.${field.property}`;
    if (field.alwaysEncoded) return null;
    if (field.explicitPresence || field.kind === 'message') return `${value} !== null`;
    const tagged = this.#isTagged(field) ? ` || m.${camel(field.oneof!)} === ${field.number}` : '';
    return `${notZero(field, value)}${tagged}`;
  }

  #write(): string {
    const lines = this.#byNumber.map((field) => this.#writeField(field));
    return `export function write${this.#name}(m: ${this.#name}, target: Uint8Array, position: number): number {
${lines.join('\n')}
  return m.unknown === null ? position : writeUnknown(target, position, m.unknown);
}
`;
  }

  #writeField(field: Field): string {
    const value = `m.${field.property}`;
    const tag = tagBytes(field)
      .map((byte) => `target[position++] = ${byte};\n`)
      .join('');
    if (field.isPacked) {
      const { writer } = traitsOf(field);
      return `if (${value}.length !== 0) {
${tag}position = writeUint32(target, position, size${writer}s(${value}));
for (const item of ${value}) position = write${writer}(target, position, item);
}`;
    }
    if (field.isRepeated)
      return `for (const item of ${value}) {\n${tag}${this.#writeValue(field, 'item')}\n}`;
    const write = `${tag}${this.#writeValue(field, value)}`;
    const condition = this.#presence(field);
    return condition === null ? write : `if (${condition}) {\n${write}\n}`;
  }

  #writeValue(field: Field, value: string): string {
    if (field.kind === 'bool') return `target[position++] = ${value} ? 1 : 0;`;
    if (field.kind !== 'message')
      return `position = write${TRAITS[field.kind].writer}(target, position, ${value});`;
    const { typeName } = this.#typeOf(field);
    return `position = writeUint32(target, position, size${typeName}(${value}));
position = write${typeName}(${value}, target, position);`;
  }

  #codec(): string {
    const name = this.#name;
    return `export const ${name}Codec: Codec<${name}> = {
  name: '${this.#message.name}',
  create: () => new ${name}(),
  decode: decode${name},
  size: size${name},
  write: write${name},
};

export function encode${name}(m: ${name}): Uint8Array {
  return encode(${name}Codec, m);
}
`;
  }
}

function traitsOf(field: Field): KindTraits {
  if (field.kind === 'message') throw new Error(`${field.name} is a message`);
  return TRAITS[field.kind];
}

function wireTypeOf(field: Field): number {
  return isVarint(field.kind) ? VARINT : DELIMITED;
}

/** The tag as it is written. */
function tagBytes(field: Field): number[] {
  const bytes: number[] = [];
  let tag = field.number * 8 + (field.isPacked ? DELIMITED : wireTypeOf(field));
  for (; tag >= 0x80; tag >>>= 7) bytes.push((tag & 0x7f) | 0x80);
  bytes.push(tag);
  return bytes;
}

function notZero(field: Field, value: string): string {
  if (field.kind === 'bool') return value;
  if (field.kind === 'bytes') return `${value}.length !== 0`;
  return `${value} !== ${traitsOf(field).zero}`;
}

function camel(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Most lists have one element, and V8 makes room for seventeen when the first is pushed. */
function appendElement(property: string, element: string): string {
  return `const element = ${element};
if (m.${property}.length === 0) m.${property} = [element];
else m.${property}.push(element);`;
}
