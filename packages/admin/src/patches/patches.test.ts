/** What patches make, and what is said of those that do not apply, was compared with `kubectl patch --local`, which has kubeadm's library. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { applyPatches } from './apply-patches.ts';
import { goText, type Json, jsonText } from './json.ts';
import { jsonPatch } from './json-patch.ts';
import { mergePatch } from './merge-patch.ts';
import { PatchError } from './patch-error.ts';
import { POD } from './pod-schema.ts';
import { strategicMerge } from './strategic-merge.ts';

const root = mkdtempSync(join(tmpdir(), 'patches-'));
after(() => rmSync(root, { recursive: true }));

const CERTS = { name: 'etcd-certs', hostPath: { path: '/pki', type: 'DirectoryOrCreate' } };
const DATA = { name: 'etcd-data', hostPath: { path: '/var/lib/etcd', type: 'DirectoryOrCreate' } };
const MOUNTS = [
  { mountPath: '/var/lib/etcd', name: 'etcd-data' },
  { mountPath: '/pki', name: 'etcd-certs' },
];
const ETCD = {
  name: 'etcd',
  image: 'e:1',
  command: ['etcd', '--a'],
  env: [
    { name: 'A', value: '1' },
    { name: 'B', value: '2' },
  ],
  volumeMounts: MOUNTS,
};
const SPEC = { containers: [ETCD], hostNetwork: true, volumes: [CERTS, DATA] };
const METADATA = {
  name: 'etcd',
  labels: { component: 'etcd', tier: 'control-plane' },
  finalizers: ['a/b', 'c/d'],
};
const PATCHED = { apiVersion: 'v1', kind: 'Pod', metadata: METADATA, spec: SPEC };

function merged(patch: Json): typeof PATCHED {
  const before = jsonText(PATCHED);
  const result = strategicMerge(PATCHED, patch, POD);
  assert.equal(jsonText(PATCHED), before, 'what is patched stays as it is');
  return result as unknown as typeof PATCHED;
}

function expectSpec(patch: Json, expected: object): void {
  assert.deepEqual(merged({ spec: patch }).spec, { ...SPEC, ...expected });
}

function expectEtcd(patch: Record<string, Json>, expected: object): void {
  expectSpec({ containers: [{ name: 'etcd', ...patch }] }, { containers: [{ ...ETCD, ...expected }] });
}

test('lists of a pod are merged by their keys, all others replaced', () => {
  expectEtcd({ command: ['etcd', '--b'] }, { command: ['etcd', '--b'] });
  expectEtcd(
    {
      env: [
        { name: 'C', value: '3' },
        { name: 'A', value: '9' },
      ],
    },
    {
      env: [
        { name: 'C', value: '3' },
        { name: 'A', value: '9' },
        { name: 'B', value: '2' },
      ],
    },
  );
  expectEtcd(
    {
      volumeMounts: [
        { mountPath: '/pki', readOnly: true },
        { mountPath: '/new', name: 'etcd-data' },
      ],
    },
    {
      volumeMounts: [MOUNTS[0], { ...MOUNTS[1], readOnly: true }, { mountPath: '/new', name: 'etcd-data' }],
    },
  );
  // What is new comes first.
  const side = { name: 'side', image: 's' };
  expectSpec({ containers: [side] }, { containers: [side, ETCD] });
  expectSpec(
    { initContainers: [{ ...side, env: [{ name: 'Q', value: null }] }] },
    { initContainers: [{ ...side, env: [{ name: 'Q' }] }] },
  );
  expectSpec(
    { tolerations: [{ operator: 'Exists' }], hostNetwork: false },
    { tolerations: [{ operator: 'Exists' }], hostNetwork: false },
  );
  assert.deepEqual(merged({ metadata: { finalizers: ['e/f', 'c/d'] } }).metadata.finalizers, [
    'e/f',
    'a/b',
    'c/d',
  ]);
  assert.deepEqual(
    merged({ metadata: { labels: { tier: null, x: 'y' }, annotations: { a: 'b', c: null } } }).metadata,
    {
      ...METADATA,
      labels: { component: 'etcd', x: 'y' },
      annotations: { a: 'b' },
    },
  );
});

test('directives remove, replace, keep and order', () => {
  expectEtcd({ env: [{ name: 'A', $patch: 'delete' }] }, { env: [ETCD.env[1]] });
  expectEtcd(
    { env: [{ $patch: 'replace' }, { name: 'X', value: '3' }] },
    { env: [{ name: 'X', value: '3' }] },
  );
  const emptied = { name: 'etcd-data', emptyDir: {} };
  expectSpec(
    { volumes: [{ name: 'etcd-data', $retainKeys: ['name', 'emptyDir'], emptyDir: {} }] },
    { volumes: [CERTS, emptied] },
  );
  expectSpec(
    { volumes: [{ name: 'etcd-data', hostPath: null, emptyDir: {} }] },
    { volumes: [CERTS, emptied] },
  );
  const order = [{ name: 'etcd-data' }, { name: 'new' }, { name: 'etcd-certs' }];
  expectSpec({ '$setElementOrder/volumes': [order[0]!, order[2]!] }, { volumes: [DATA, CERTS] });
  const added = { name: 'new', emptyDir: {} };
  expectSpec({ '$setElementOrder/volumes': order, volumes: [added] }, { volumes: [DATA, added, CERTS] });
  const [z, a] = [
    { name: 'z', emptyDir: {} },
    { name: 'a', emptyDir: {} },
  ];
  expectSpec({ volumes: [z, { name: 'etcd-certs', $patch: 'delete' }, a] }, { volumes: [z, a, DATA] });
  assert.deepEqual(
    merged({ metadata: { '$deleteFromPrimitiveList/finalizers': ['a/b'] } }).metadata.finalizers,
    ['c/d'],
  );
  assert.deepEqual(merged({ metadata: { labels: { $patch: 'replace', x: 'y' } } }).metadata.labels, {
    x: 'y',
  });
  assert.deepEqual(merged({ metadata: { labels: { $patch: 'delete' } } }).metadata.labels, {});
});

test('a strategic patch that makes no sense is refused in the words of Kubernetes', () => {
  for (const [patch, message] of [
    [[], 'invalid JSON document'],
    [
      { spec: { containers: [{ image: 'x' }] } },
      'map: map[image:x] does not contain declared merge key: name',
    ],
    [
      { spec: { containers: [{ name: 'etcd', $patch: 'nonsense' }] } },
      'unknown patch type: nonsense in map: map[$patch:nonsense name:etcd]',
    ],
    [
      { spec: { containers: [{ name: 'etcd', $patch: 'merge' }] } },
      'merging lists cannot yet be specified in the patch',
    ],
    [
      { metadata: { labels: { $patch: 'nonsense' } } },
      'unknown patch type: nonsense in map: map[$patch:nonsense]',
    ],
    [
      { spec: { volumes: [{ name: 'etcd-data', $retainKeys: ['name'], emptyDir: {} }] } },
      'invalid patch format of retainKeys',
    ],
    [
      { spec: { volumes: [{ name: 'etcd-data', $retainKeys: 'name' }] } },
      'invalid patch format of retainKeys',
    ],
    [{ metadata: { finalizers: [1] } }, 'list element types are not identical: [[a/b c/d]] [[1]]'],
    [
      { metadata: { '$deleteFromPrimitiveLists/finalizers': ['a/b'] } },
      'invalid patch format of primitive list',
    ],
    [{ spec: { $setElementOrder: [] } }, 'invalid patch format of setElementOrder list'],
  ] as const) {
    assert.throws(() => merged(patch as unknown as Json), new PatchError(message));
  }
  assert.throws(
    () => strategicMerge({ spec: { volumes: [[1]] } }, { spec: { volumes: [[2]] } }, POD),
    /lists of lists/,
  );
  assert.equal(goText({ b: [1, null, 'x'], a: true }), 'map[a:true b:[1 <nil> x]]');
});

test('merge patches put lists in place and take away what is null', () => {
  const containers = [{ name: 'x', image: 'y' }];
  assert.deepEqual(mergePatch(PATCHED, { spec: { containers, hostNetwork: null, new: { a: null, b: 1 } } }), {
    ...PATCHED,
    spec: { containers, volumes: [CERTS, DATA], new: { b: 1 } },
  });
  assert.deepEqual(mergePatch('x', { a: 1 }), { a: 1 });
  assert.equal(mergePatch(PATCHED, 'x'), 'x');
});

test('JSON patches apply one operation after the other, or say in which way one does not', () => {
  const patched = jsonPatch(PATCHED, [
    { op: 'add', path: '/spec/containers/0/command/-', value: '--b' },
    { op: 'add', path: '/spec/containers/0/command/1', value: '--c' },
    { op: 'replace', path: '/spec/containers/0/image', value: 'q' },
    { op: 'replace', path: '/spec/containers/0/new', value: 'n' },
    { op: 'test', path: '/spec/hostNetwork', value: true },
    { op: 'remove', path: '/spec/hostNetwork' },
    { op: 'move', from: '/metadata/labels/tier', path: '/metadata/labels/t2' },
    { op: 'copy', from: '/metadata/labels/t2', path: '/metadata/labels/t3' },
  ]) as unknown as typeof PATCHED;
  const { containers, ...rest } = patched.spec;
  assert.deepEqual(containers, [{ ...ETCD, command: ['etcd', '--c', '--a', '--b'], image: 'q', new: 'n' }]);
  assert.deepEqual(rest, { volumes: [CERTS, DATA] });
  assert.deepEqual(patched.metadata.labels, { component: 'etcd', t2: 'control-plane', t3: 'control-plane' });
  assert.deepEqual(jsonPatch(PATCHED, [{ op: 'replace', path: '', value: { a: 1 } }]), { a: 1 });
  for (const [patch, message] of [
    [{ op: 'remove' }, 'json: cannot unmarshal object into Go value of type jsonpatch.Patch'],
    [['x'], 'json: cannot unmarshal string into Go value of type jsonpatch.Operation'],
    [[{ op: 'frob', path: '/a' }], 'Unexpected kind: frob'],
    [[{ path: '/a' }], 'Unexpected kind: unknown'],
    [[{ op: 'remove' }], 'remove operation failed to decode path: missing value'],
    [[{ op: 'add', path: '/a' }], 'operation, missing value field: missing value'],
    [
      [{ op: 'move', path: '/a' }],
      'move operation failed to decode from: operation, missing from field: missing value',
    ],
    [
      [{ op: 'add', path: '/spec/nothing/x', value: 1 }],
      'add operation does not apply: doc is missing path: "/spec/nothing/x": missing value',
    ],
    [
      [{ op: 'add', path: '/spec/volumes/9', value: 1 }],
      "error in add for path: '/spec/volumes/9': Unable to access invalid index: 9: invalid index referenced",
    ],
    [
      [{ op: 'replace', path: '/spec/nothing/0', value: 1 }],
      'replace operation does not apply: doc is missing path: /spec/nothing/0: missing value',
    ],
    [
      [{ op: 'remove', path: '/spec/nothing' }],
      "error in remove for path: '/spec/nothing': Unable to remove nonexistent key: nothing: missing value",
    ],
    [
      [{ op: 'remove', path: '/spec/volumes/7' }],
      "error in remove for path: '/spec/volumes/7': Unable to access invalid index: 7: invalid index referenced",
    ],
    [
      [{ op: 'remove', path: '/spec/a/b' }],
      'remove operation does not apply: doc is missing path: "/spec/a/b": missing value',
    ],
    [
      [{ op: 'test', path: '/spec/hostNetwork', value: false }],
      'testing value /spec/hostNetwork failed: test failed',
    ],
    [
      [{ op: 'test', path: '/spec/a/b', value: false }],
      'test operation does not apply: is missing path: /spec/a/b: missing value',
    ],
    [
      [{ op: 'move', from: '/metadata/no/x', path: '/a' }],
      'move operation does not apply: doc is missing from path: /metadata/no/x: missing value',
    ],
    [
      [{ op: 'move', from: '/metadata/labels/none', path: '/a' }],
      "error in move for path: 'none': Unable to remove nonexistent key: none: missing value",
    ],
    [
      [{ op: 'copy', from: '/metadata/name', path: '/metadata/no/x' }],
      'copy operation does not apply: doc is missing destination path: /metadata/no/x: missing value',
    ],
  ] as const) {
    assert.throws(() => jsonPatch(PATCHED, patch as unknown as Json), new PatchError(message));
  }
});

interface Applied {
  readonly pod: typeof PATCHED;
  readonly lines: readonly string[];
}

function applied(name: string, files: Readonly<Record<string, string>>): Applied {
  const directory = join(root, name);
  mkdirSync(directory);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(directory, file, '..'), { recursive: true });
    writeFileSync(join(directory, file), text);
  }
  const lines: string[] = [];
  const pod = applyPatches(PATCHED, 'etcd', directory, (text) => lines.push(text)) as typeof PATCHED;
  return { pod, lines };
}

test('files say by their names what they are for, and are applied in the order of names', () => {
  const { pod, lines } = applied('all', {
    'etcd1+json.json': '[{"op": "replace", "path": "/spec/containers/0/image", "value": "of-1"}]',
    'etcd0.yaml':
      'spec:\n  containers:\n  - name: etcd\n    image: of-0\n---\nmetadata:\n  labels: {second: "yes"}\n',
    'etcd2+merge.yaml': 'metadata:\n  annotations: {third: "yes"}\n',
    'kube-apiserver+strategic.yaml': 'spec: {hostNetwork: false}\n',
    'sub/etcd3.json': '{"spec": {"priority": 7}}',
    'etcd-empty.yaml': '',
    'notes.txt': 'x',
    'other.yaml': 'x: y',
  });
  assert.equal(pod.spec.containers[0]!.image, 'of-1');
  assert.deepEqual(pod.metadata, {
    ...METADATA,
    labels: { ...METADATA.labels, second: 'yes' },
    annotations: { third: 'yes' },
  });
  assert.deepEqual(pod.spec, { ...SPEC, containers: pod.spec.containers, priority: 7 });
  const targets =
    '[etcd kube-apiserver kube-controller-manager kube-scheduler kubeletconfiguration corednsdeployment]';
  const strategic =
    '[patches] Applied patch of type "application/strategic-merge-patch+json" to target "etcd"';
  assert.deepEqual(lines, [
    `[patches] Reading patches from path "${join(root, 'all')}"`,
    '[patches] Ignoring empty file: "etcd-empty.yaml"',
    '[patches] Ignoring file "notes.txt": the file extension must be one of [json yaml]',
    `[patches] Ignoring file "other.yaml": unknown target, must be one of ${targets}`,
    '[patches] Found the following patch files: [etcd0.yaml etcd1+json.json etcd2+merge.yaml kube-apiserver+strategic.yaml etcd3.json]',
    '[patches] Ignored the following files: [etcd-empty.yaml notes.txt other.yaml]',
    strategic,
    strategic,
    '[patches] Applied patch of type "application/json-patch+json" to target "etcd"',
    '[patches] Applied patch of type "application/merge-patch+json" to target "etcd"',
    strategic,
  ]);
});

test('a directory that is none, a file that can not be read, and a patch that does not apply are told with their names', () => {
  const head = 'failed to patch static Pod manifest file for "etcd": ';
  const list = (name: string): string => `${head}could not list patch files for path "${join(root, name)}": `;
  const refused = (directory: string, message: string): void =>
    assert.throws(
      () => applyPatches(PATCHED, 'etcd', join(root, directory), () => {}),
      new PatchError(message),
    );
  refused('absent', `${list('absent')}lstat ${join(root, 'absent')}: no such file or directory`);
  writeFileSync(join(root, 'file'), '');
  refused('file', `${list('file')}getPatchSetsFromPath file: not a directory`);
  for (const [name, file, text, message] of [
    [
      'plus',
      'etcd+other.yaml',
      'a: b',
      "unknown or missing patch type after '+', must be one of [json merge strategic]",
    ],
    ['prototype', 'etcd.json', '{"__proto__": {"a": 1}}', 'invalid JSON document'],
  ] as const) {
    assert.throws(() => applied(name, { [file]: text }), new PatchError(`${list(name)}${message}`));
  }
  assert.throws(
    () => applied('yaml', { 'etcd.yaml': 'a: [b' }),
    /could not convert patch to JSON:\na: \[b\n: /,
  );
  for (const [name, text] of [
    ['no-anchor', 'a: *x'],
    ['own-anchor', '&a [*a]'],
  ] as const) {
    assert.throws(() => applied(name, { 'etcd.yaml': text }), {
      name: 'PatchError',
      message: /could not convert patch to JSON:\n.*\n: .*(?:alias|contains itself)/,
    });
  }
  mkdirSync(join(root, 'dangling'));
  symlinkSync('/nonexistent', join(root, 'dangling/etcd.yaml'));
  refused(
    'dangling',
    `${list('dangling')}could not read the file "${join(root, 'dangling/etcd.yaml')}": open ${join(root, 'dangling/etcd.yaml')}: no such file or directory`,
  );
  assert.throws(
    () => applied('test', { 'etcd+json.yaml': '- {op: test, path: /kind, value: Node}\n' }),
    new PatchError(
      `${head}could not apply the following patch of type "application/json-patch+json" to target "etcd":\n[{"op":"test","path":"/kind","value":"Node"}]\n: testing value /kind failed: test failed`,
    ),
  );
  assert.throws(
    () => applied('kind', { 'etcd.yaml': 'kind: Node' }),
    new PatchError(`${head}patched manifest is not a valid Pod object`),
  );
  assert.throws(
    () => applied('containers', { 'etcd+merge.yaml': 'spec: {containers: [{image: x}]}' }),
    /failed to unmarshal patched manifest/,
  );
});
