import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { parseClusterSpec } from './resources/etcd-cluster.ts';
import { definitionsText } from './root.ts';

const DEPLOY = new URL('../../../deploy/operator/', import.meta.url);

test('the definitions in deploy/ are those that the program prints, and the example is one that it takes', () => {
  assert.equal(readFileSync(new URL('definitions.yaml', DEPLOY), 'utf8'), definitionsText());
  const example = parse(readFileSync(new URL('example.yaml', DEPLOY), 'utf8'));
  assert.equal(parseClusterSpec(example.spec).ok, true);
});

test('what is deployed reads as YAML, and has every kind that the operator needs', () => {
  const documents = parseAllDocuments(readFileSync(new URL('operator.yaml', DEPLOY), 'utf8'));
  const kinds = documents.map((document) => {
    assert.deepEqual(document.errors, []);
    return document.get('kind');
  });
  assert.deepEqual(kinds, [
    'Namespace',
    'ServiceAccount',
    'ClusterRole',
    'ClusterRoleBinding',
    'Role',
    'RoleBinding',
    'Deployment',
  ]);
});

test('the chart gives the same definitions and the same rights as the manifests', () => {
  const text = (path: string): string => readFileSync(new URL(path, DEPLOY), 'utf8');
  assert.equal(text('chart/crds/definitions.yaml'), definitionsText());
  const rules = /define "etcd-operator.rules" -}}\n([\s\S]*)\n{{- end -}}/.exec(
    text('chart/templates/_rules.tpl'),
  )![1]!;
  const role = parseAllDocuments(text('operator.yaml')).find((one) => one.get('kind') === 'ClusterRole')!;
  assert.deepEqual(parse(rules), (role.toJS() as { readonly rules: unknown }).rules);
});
