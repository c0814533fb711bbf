import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GrantedRange, KeyRanges } from './key-ranges.ts';

const LETTERS = 'abcdefghijklmnop';

/** `a`: the key alone; `a-c`: up to it; `a-`: all from it on. */
function rangeOf(word: string): GrantedRange {
  const [key, end] = word.split('-');
  return { key: Buffer.from(key!), rangeEnd: Buffer.from(end === '' ? '\0' : (end ?? '')) };
}

/** Of each key, the ends of inverted and empty ranges that are permitted. */
function permittedEnds(ranges: KeyRanges): string {
  const all = Array.from(LETTERS, (key, place) => {
    const ends = Array.from(LETTERS.slice(0, place + 1)).filter((end) =>
      ranges.covers(Buffer.from(key), Buffer.from(end)),
    );
    return ends.length === 0 ? '' : `${key}:${ends.join('')}`;
  });
  return all.filter((text) => text !== '').join(' ');
}

/** Grants in their order, and the verdicts of etcd 3.7.3's own interval tree on ranges that end at or before their key. */
const VERDICTS: readonly (readonly [grants: string, permitted: string])[] = [
  ['l-p', 'l:abcdefghijkl m:abcdefghijklm n:abcdefghijklmn o:abcdefghijklmno'],
  [
    'a-c b-',
    'a:a b:ab c:bc d:bcd e:bcde f:bcdef g:bcdefg h:bcdefgh i:bcdefghi j:bcdefghij k:bcdefghijk l:bcdefghijkl m:bcdefghijklm n:bcdefghijklmn o:bcdefghijklmno p:bcdefghijklmnop',
  ],
  [
    'a- c-d b',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:cdefghi j:cdefghij k:cdefghijk l:cdefghijkl m:cdefghijklm n:cdefghijklmn o:cdefghijklmno p:cdefghijklmnop',
  ],
  [
    'b-c a g-k c-',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:cdefghi j:cdefghij k:hijk l:hijkl m:hijklm n:hijklmn o:hijklmno p:hijklmnop',
  ],
  [
    'n-o c b- d f-i',
    'b:ab c:abc d:d e:de f:def g:defg h:defgh i:defghi j:defghij k:defghijk l:defghijkl m:defghijklm n:defghijklmn o:defghijklmno p:defghijklmnop',
  ],
  [
    'd-e i-m a-c j-l a- l-o',
    'a:a b:ab c:bc d:abcd e:e f:ef g:efg h:efgh i:efghi j:efghij k:efghijk l:efghijkl m:efghijklm n:efghijklmn o:efghijklmno p:efghijklmnop',
  ],
  [
    'm-p a- b j-n j-n c-g c o-p',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:cdefghi j:cdefghij k:cdefghijk l:cdefghijkl m:cdefghijklm n:cdefghijklmn o:cdefghijklmno p:cdefghijklmnop',
  ],
  [
    'a-c b o-p l d e- o-p n-p h-k a-e',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:cdefghi j:cdefghij k:cdefghijk l:cdefghijkl m:m n:mn o:mno p:mnop',
  ],
  [
    'l-o g-j e-h a-d b-c a- a-e c-g j-k d-g b j-n',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:cdefghi j:cdefghij k:cdefghijk l:cdefghijkl m:cdefghijklm n:cdefghijklmn o:cdefghijklmno p:cdefghijklmnop',
  ],
  [
    'o m-p o-p a- b j-k a g h-j l-o j-m f- g g d',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:cdefghi j:abcdefghij k:k l:kl m:klm n:klmn o:klmno p:klmnop',
  ],
  [
    'd-g a-b a-b a-d b n e l-p l-n f-i e-h k-m h-j j-l l- o-p g- l-n',
    'a:a b:ab c:c d:cd e:cde f:cdef g:cdefg h:cdefgh i:ghi j:ij k:ghijk l:ghijkl m:ghijklm n:ghijklmn o:ghijklmno p:mnop',
  ],
  [
    'g a-c m-p b-c h-l l-o a e-g h-l g-j c- k j-k f-g m-p m-p g f-j m-o i m h-k',
    'a:a b:ab c:bc d:bcd e:bcde f:bcdef g:abcdefg h:h i:hi j:hij k:hijk l:hijkl m:hijklm n:hijklmn o:hijklmno p:hijklmnop',
  ],
  [
    'a-c k-n e-f j-m f-j f-g m-p a-e e- l-p e-i k-o l-m k-o o-p b-c d-e b-c j e-i b-c m-n g-j a-c b m-p',
    'a:a b:ab c:c d:cd e:cde f:abcdef g:g h:gh i:ghi j:ghij k:ghijk l:ghijkl m:ghijklm n:ghijklmn o:ghijklmno p:ghijklmnop',
  ],
  [
    'i h-i f-h d-e c m-o b-c i-l a-d m-p k-n o-p o- l-m n-p m-n n j-m a-e d-g e-i n-o a-e k a-d a-c o-p h-j m-p k c-f',
    'a:a b:ab c:c d:cd e:e f:ef g:efg h:abcdefgh i:i j:ij k:ijk l:l m:ijklm n:ijklmn o:no p:p',
  ],
  [
    'h a n-p k-n c-g a-b m-p k- j-n g-i i-j f- c b-f j-k e-f h-j o-p o-p i-m n-p o-p o-p a-e o-p a g-k c-d k-n o-p k-o n-o g-i j-m e-h e-i f-j',
    'a:a b:b c:abc d:d e:de f:def g:defg h:abcdefgh i:i j:ij k:ijk l:ijkl m:ijklm n:ijklmn o:ijklmno p:ijklmnop',
  ],
];

test('S08 ranges that are inverted get the verdict that members of Go come to', () => {
  for (const [grants, permitted] of VERDICTS)
    assert.equal(permittedEnds(new KeyRanges(grants.split(' ').map(rangeOf))), permitted, grants);
});
