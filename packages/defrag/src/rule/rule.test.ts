import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Rule, RuleError } from './index.ts';

const MIB = 1024 * 1024;
const SIZES = { sizeBytes: 100 * MIB, sizeInUseBytes: 60 * MIB, quotaBytes: 2048 * MIB };

const holds = (text: string, sizes = SIZES): boolean => new Rule(text).holds(sizes);

test('the documented rules hold when a file is large, or has much unused', () => {
  const either = 'dbSize > dbQuota*80/100 || dbSize - dbSizeInUse > 200*1024*1024';
  const both = 'dbSize > dbQuota*80/100 && dbSize - dbSizeInUse > 200*1024*1024';
  const named = 'dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024';
  const large = { ...SIZES, sizeBytes: 1700 * MIB, sizeInUseBytes: 1690 * MIB };
  const hollow = { ...SIZES, sizeBytes: 300 * MIB };
  const largeAndHollow = { ...SIZES, sizeBytes: 1700 * MIB };
  for (const rule of [either, named]) {
    assert.equal(holds(rule), false);
    assert.equal(holds(rule, large), true);
    assert.equal(holds(rule, hollow), true);
  }
  assert.equal(holds(both, large), false);
  assert.equal(holds(both, largeAndHollow), true);
  assert.equal(holds(''), true);
});

test('whole numbers divide to whole numbers, fractions and sizes do not', () => {
  assert.equal(holds('dbSize > dbQuota*(80/100)'), true);
  assert.equal(holds('dbSize > dbQuota*(80.0/100)'), false);
  for (const rule of [
    '7%4 == 3',
    '-7/2 == -3',
    '-7%4 == -3',
    '7.5%2 == 1.5',
    '0x10 == 16 && 010 == 8 && 0b101 == 5 && 1_000 == 1000 && 1e3 == 1000 && .5 < 1 && 5. > 1',
    '9223372036854775807 + 1 < 0',
    '1 == 1.0',
  ]) {
    assert.equal(holds(rule), true, rule);
  }
});

test('operators bind as in C', () => {
  for (const rule of [
    '2**10 == 1024',
    '2**-1 == 0.5',
    '-2**2 == 4',
    '2**3**2 == 64',
    '1 << 2 + 1 == 8',
    '(6 & 3) == 2 && (6 ^ 3) == 5 && (6 | 3) == 7 && ~0 == -1 && 8 >> 2 == 2 && 1 << -1 == 0',
    'true || true && false',
    '1 < 2 == true',
    '1<-1 == false',
    'true ? true : false',
    'false ? false : true ? true : false',
    '!(dbSize > 1) == false',
  ]) {
    assert.equal(holds(rule), true, rule);
  }
});

test('strings and lists are there, though nobody needs them', () => {
  for (const rule of ['"a" + 1 == "a1"', '"a" == `a`', '1 in [1,2]', '[1,2] == [1,2.0]', '[1,2][1] == 2']) {
    assert.equal(holds(rule), true, rule);
  }
  assert.equal(holds('[1]+[2] == [1,2] && nil == nil && "" + nil == "nil"'), true);
});

test('what is no rule is refused before any member is asked', () => {
  for (const [rule, reason] of [
    ['dbSize - 1', "the rule isn't a boolean expression"],
    ['nope > 1', 'var error: variable "nope" does not exist'],
    ['true || nope', 'var error: variable "nope" does not exist'],
    ['toString == 1', 'var error: variable "toString" does not exist'],
    ['dbSize >', 'syntax error: unexpected end of the rule at position 9'],
    ['dbSize > 1 2', 'syntax error: unexpected "2" at position 12'],
    ['(dbSize > 1', 'syntax error: unexpected end of the rule at position 12, expected ")"'],
    ['dbSize.foo', 'unknown token "." at position 7'],
    ['1/0 > 1', 'math error: cannot divide by zero'],
    ['1%0 == 1', 'math error: cannot divide by zero'],
    ['dbSize/0 > 1', 'math error: cannot divide by zero'],
    ['!1', 'type error: required bool, but was number'],
    ['true && 1', 'type error: required bool, but was number'],
    ['6 & 3 == 2', 'type error: required number of type integer, but was bool'],
    ['1.5 | 1', 'type error: cannot cast floating point number to integer without losing precision'],
    ['"x" > 1', 'type error: cannot compare type string and number'],
    ['1 + true == 2', 'type error: cannot add or concatenate type number and bool'],
    ['[1][2] == 1', 'var error: array index 2 is out of range [0, 1]'],
    ['1 in 2', 'syntax error: in-operator requires array, but was number'],
    ['9223372036854775808 > 1', 'parse error: cannot parse integer at position 1'],
    ['-true', 'type error: unary minus requires number, but was bool'],
    ['process.exit(1)', 'unknown token "." at position 8'],
  ] as const) {
    assert.throws(() => new Rule(rule), new RuleError(reason), rule);
  }
});

test('any text is a rule or refused with a RuleError, however deep', () => {
  const words = [
    'dbSize',
    '1',
    '0.5',
    '(',
    ')',
    '[',
    ']',
    '+',
    '**',
    '&&',
    '!',
    '?',
    ':',
    'in',
    '"a"',
    ' ',
    '<',
  ];
  const texts = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...words), { maxLength: 30 }).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        assert.equal(typeof new Rule(text).holds(SIZES), 'boolean');
      } catch (error) {
        assert.ok(error instanceof RuleError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
  for (const open of ['(', '[', '!', '-', '1+('])
    assert.throws(() => new Rule(open.repeat(100_000)), RuleError);
});
