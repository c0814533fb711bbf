import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HeaderField } from './header-field.ts';
import { FieldKind } from './header-field.ts';
import type { HpackDecoderOptions } from './hpack-decoder.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder, Indexing } from './hpack-encoder.ts';
import { huffmanDecode, huffmanEncode, huffmanEncodedLength, maxHuffmanDecodedLength } from './huffman.ts';

type Fields = readonly (readonly [name: string, value: string])[];

function newDecoder(options: Partial<HpackDecoderOptions<readonly HeaderField[]>> = {}) {
  return new HpackDecoder<readonly HeaderField[]>({
    interpret: (fields) => fields,
    maxListSizeBytes: 1_000_000,
    ...options,
  });
}

function decodeHex(decoder: HpackDecoder<readonly HeaderField[]>, hex: string): Fields | null {
  const block = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return decoder.decode(block, 0, block.length)?.map(({ name, value }) => [name, value] as const) ?? null;
}

function encode(encoder: HpackEncoder, fields: Fields, indexing: number = Indexing.INCREMENTAL): Buffer {
  encoder.begin();
  for (const [name, value] of fields) encoder.add(name, value, indexing);
  return Buffer.from(encoder.finish());
}

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) });
const token = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789-_.'),
  minLength: 1,
});

test('decodes the literal representations of RFC 7541, C.2', () => {
  const cases: [string, string, string, number][] = [
    ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 'custom-key', 'custom-header', 55],
    ['040c 2f73 616d 706c 652f 7061 7468', ':path', '/sample/path', 0],
    ['1008 7061 7373 776f 7264 0673 6563 7265 74', 'password', 'secret', 0],
    ['82', ':method', 'GET', 0],
  ];
  for (const [hex, name, value, tableSizeBytes] of cases) {
    const decoder = newDecoder();
    assert.deepEqual(decodeHex(decoder, hex), [[name, value]]);
    assert.equal(decoder.tableSizeBytes, tableSizeBytes);
  }
});

const REQUESTS: Fields[] = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
];

test('decodes the requests of RFC 7541, C.3 and C.4', () => {
  const stories = [
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ];
  for (const story of stories) {
    const decoder = newDecoder();
    for (const [i, hex] of story.entries()) assert.deepEqual(decodeHex(decoder, hex), REQUESTS[i]);
    assert.equal(decoder.tableSizeBytes, 164);
  }
});

test('encodes the requests of RFC 7541, C.4, byte for byte', () => {
  const encoder = new HpackEncoder();
  const blocks = REQUESTS.map((fields) => encode(encoder, fields).toString('hex'));
  assert.deepEqual(blocks, [
    '828684418cf1e3c2e5f23a6ba0ab90f4ff',
    '828684be5886a8eb10649cbf',
    '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
  ]);
});

test('decodes the responses of RFC 7541, C.5 and C.6, with evictions from a table of 256 bytes', () => {
  const date = (second: number): string => `Mon, 21 Oct 2013 20:13:${second} GMT`;
  const common = (status: string, second: number): Fields => [
    [':status', status],
    ['cache-control', 'private'],
    ['date', date(second)],
    ['location', 'https://www.example.com'],
  ];
  const expected: Fields[] = [
    common('302', 21),
    common('307', 21),
    [
      [':status', '200'],
      ['cache-control', 'private'],
      ['date', date(22)],
      ['location', 'https://www.example.com'],
      ['content-encoding', 'gzip'],
      ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ],
  ];
  const stories = [
    [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
  ];
  for (const story of stories) {
    const decoder = newDecoder({ maxTableSizeBytes: 256 });
    for (const [i, hex] of story.entries()) assert.deepEqual(decodeHex(decoder, hex), expected[i]);
    assert.equal(decoder.tableSizeBytes, 215);
  }
});

test('broken blocks are refused', () => {
  const broken: [string, string][] = [
    ['80', 'index 0'],
    ['be', 'an index beyond the tables'],
    ['ff8080808010', 'an index of 2^32'],
    ['ffffffffffffffff7f', 'an integer without end'],
    ['ff', 'an integer that is cut off'],
    ['00', 'a name that is missing'],
    ['000161', 'a value that is missing'],
    ['00016102', 'a value that is cut off'],
    ['0f80', 'a name index beyond the tables'],
    ['0482ffff', 'padding of more than seven bits'],
    ['048100', 'padding of zeros'],
    ['0484ffffffff', 'the end-of-string symbol'],
    ['3fe21f', 'a table size above what was allowed'],
    ['8220', 'a size update behind a field'],
    ['20202082', 'three size updates'],
  ];
  for (const [hex, what] of broken) assert.equal(decodeHex(newDecoder(), hex), null, what);
});

test('a size update empties the table, and two in front of a block are allowed', () => {
  const decoder = newDecoder();
  decodeHex(decoder, '4001610162');
  assert.equal(decoder.tableSizeBytes, 34);
  assert.deepEqual(decodeHex(decoder, '203fe11f82'), [[':method', 'GET']]);
  assert.equal(decoder.tableSizeBytes, 0);
  assert.equal(decodeHex(decoder, 'be'), null);
});

test('a list above the limit is not delivered, but the table follows', () => {
  const decoder = newDecoder({ maxListSizeBytes: 100 });
  assert.equal(decodeHex(decoder, `4001610162${'be'.repeat(10)}`), null);
  assert.equal(decoder.isListTooLarge, true);
  assert.deepEqual(decodeHex(decoder, 'be'), [['a', 'b']]);
  assert.equal(decoder.isListTooLarge, false);
});

test('a repeated block gives the same object again, until the table changes', () => {
  const decoder = newDecoder();
  const block = Buffer.from('8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'.replaceAll(' ', ''), 'hex');
  decoder.decode(block, 0, block.length);
  const repeat = Buffer.from('828684be', 'hex');
  const first = decoder.decode(repeat, 0, 4);
  assert.equal(decoder.decode(repeat, 0, 4), first);
  // Another field moves the indices: the same bytes now mean something else, other bytes the same.
  decodeHex(decoder, '4001610162');
  assert.equal(decoder.decode(Buffer.from('828684bf', 'hex'), 0, 4), first);
  assert.notDeepEqual(decoder.decode(repeat, 0, 4), first);
});

test('the volatile header is reported beside the list, whose meaning stays the same object', () => {
  const decoder = newDecoder({ volatileKind: FieldKind.GRPC_TIMEOUT });
  const encoder = new HpackEncoder();
  const lists = new Set<unknown>();
  for (let i = 0; i < 500; i++) {
    const block = encode(encoder, [
      [':method', 'POST'],
      [':path', '/etcdserverpb.KV/Put'],
      ['grpc-timeout', `${4_999_000 + i}u`],
      ['te', 'trailers'],
    ]);
    const list = decoder.decode(block, 0, block.length);
    assert.equal(decoder.volatileField?.value, `${4_999_000 + i}u`);
    assert.deepEqual(
      list?.map((field) => field.name),
      [':method', ':path', 'te'],
    );
    lists.add(list);
  }
  // One per time that the other fields were pushed out of the table and came back as new objects at the most.
  assert.ok(lists.size <= 3, `${lists.size} different lists`);
});

test('the memo never confuses blocks: decoding with it equals decoding afresh', () => {
  const field = fc.tuple(
    fc.constantFrom(':path', 'grpc-timeout', 'x-a', 'x-b', 'content-type'),
    fc.constantFrom('', '1', '2', 'aaaaaaaa', 'application/grpc', 'b'.repeat(60)),
  );
  const blocks = fc.array(fc.array(field, { maxLength: 6 }), { maxLength: 40 });
  const sizes = fc.infiniteStream(fc.constantFrom(0, 64, 200, 4096));
  fc.assert(
    fc.property(blocks, sizes, fc.infiniteStream(fc.nat(2)), (lists, tableSizes, indexings) => {
      const encoder = new HpackEncoder();
      const decoder = newDecoder();
      for (const list of lists) {
        if (list.length === 5) encoder.setPeerTableSize(tableSizes.next().value);
        const block = encode(encoder, list, indexings.next().value);
        const decoded = decoder.decode(block, 0, block.length);
        assert.deepEqual(
          decoded?.map(({ name, value }) => [name, value]),
          list,
        );
      }
    }),
  );
});

test('any list survives encoding and decoding, with any indexing and table size', () => {
  const fields = fc.array(fc.tuple(token, latin1, fc.nat(2)), { maxLength: 10 });
  fc.assert(
    fc.property(fc.array(fields, { maxLength: 8 }), fc.array(fc.nat(5000)), (lists, sizes) => {
      const encoder = new HpackEncoder();
      const decoder = newDecoder();
      for (const [i, list] of lists.entries()) {
        const sizeBytes = sizes[i];
        if (sizeBytes !== undefined) encoder.setPeerTableSize(sizeBytes);
        encoder.begin();
        for (const [name, value, indexing] of list) encoder.add(name, value, indexing);
        const block = encoder.finish();
        const decoded = decoder.decode(block, 0, block.length);
        assert.deepEqual(
          decoded?.map(({ name, value }) => [name, value]),
          list.map(([name, value]) => [name, value]),
        );
      }
    }),
  );
});

test('Huffman decoding is the inverse of encoding, and never writes beyond its bound', () => {
  fc.assert(
    fc.property(latin1, (text) => {
      const encoded = Buffer.alloc(huffmanEncodedLength(text));
      assert.equal(huffmanEncode(text, encoded, 0), encoded.length);
      const decoded = Buffer.alloc(maxHuffmanDecodedLength(encoded.length));
      const length = huffmanDecode(encoded, 0, encoded.length, decoded, 0);
      assert.equal(decoded.toString('latin1', 0, length), text);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const bound = maxHuffmanDecodedLength(bytes.length);
      const target = new Uint8Array(bound + 8).fill(0xaa);
      const length = huffmanDecode(bytes, 0, bytes.length, target, 0);
      assert.ok(length <= bound);
      assert.ok(target.subarray(bound).every((byte) => byte === 0xaa));
    }),
  );
});

test('random bytes never make the decoder throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), (blocks) => {
      const decoder = newDecoder({ maxListSizeBytes: 500 });
      for (const block of blocks) decoder.decode(block, 0, block.length);
    }),
    { numRuns: 2000 },
  );
});

interface Story {
  readonly cases: readonly {
    readonly wire?: string;
    readonly header_table_size?: number;
    readonly headers: readonly Readonly<Record<string, string>>[];
  }[];
}

const beside = path.join(import.meta.dirname, '../../../../../shared/hpack-test-case');
const vectors = process.env['HPACK_TEST_CASE'] ?? beside;
const withoutVectors = fs.existsSync(vectors)
  ? false
  : `no hpack-test-case at ${vectors}; see HPACK_TEST_CASE`;

test('the public vectors decode, and our encoding of them decodes again', { skip: withoutVectors }, () => {
  let count = 0;
  for (const directory of fs.readdirSync(vectors, { withFileTypes: true })) {
    if (!directory.isDirectory()) continue;
    for (const file of fs.readdirSync(path.join(vectors, directory.name))) {
      const story = JSON.parse(fs.readFileSync(path.join(vectors, directory.name, file), 'utf8')) as Story;
      const theirs = newDecoder({ maxTableSizeBytes: 65_536 });
      const ours = newDecoder();
      const encoder = new HpackEncoder();
      for (const { wire, headers } of story.cases) {
        const fields: Fields = headers.flatMap((header) => Object.entries(header));
        const where = `${directory.name}/${file}, case ${count}`;
        if (wire !== undefined) assert.deepEqual(decodeHex(theirs, wire), fields, where);
        assert.deepEqual(decodeHex(ours, encode(encoder, fields).toString('hex')), fields, where);
        count++;
      }
    }
  }
  assert.ok(count > 1000, `only ${count} cases found in ${vectors}`);
});
