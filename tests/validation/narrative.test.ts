/** txt-1 and txt-2. @see https://hl7.org/fhir/R4/narrative.html#xhtml */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { narrativeFault } from '../../src/fhir/definitions/fhirpath/xhtml.ts';

const div = (inner: string): string => `<div xmlns="http://www.w3.org/1999/xhtml">${inner}</div>`;

test.each([
  'text',
  '<p>a<br/>b</p>',
  '<b>a</b> &amp; &#160; &nbsp; &copy;',
  '<table class="grid" border="1"><tbody><tr><td rowspan="2" style="color: red">x</td></tr></tbody></table>',
  '<a href="https://x.example/?a=1&amp;b=2" title=\'t\'>x</a>',
  '<a name="x"/>x',
  '<img src="#image" alt="x"/>',
  '<!-- a comment --><h1 id="x" xml:lang="de">x</h1>',
  '<ul><li>a</li></ul><dl><dt>a</dt><dd>b</dd></dl><pre>x</pre>',
])('%s is allowed', (inner) => {
  expect(narrativeFault(div(inner))).toBeUndefined();
});

test.each([
  ['', 'div'],
  ['text', 'outside'],
  ['<p>x</p>', 'one <div>'],
  [`${div('x')}${div('y')}`, 'one <div>'],
  [div(''), 'neither text nor an image'],
  [div('<p> <br/></p>'), 'neither text nor an image'],
  ['<div>x', 'not closed'],
  [div('<p>x</b>'), 'closes'],
  [div('x</p>'), 'closes'],
  [div('<script>x</script>'), '<script>'],
  [div('<SCRIPT>x</SCRIPT>'), '<SCRIPT>'],
  [div('<iframe src="x">x</iframe>'), '<iframe>'],
  [div('<form action="x">x</form>'), '<form>'],
  [div('<object data="x">x</object>'), '<object>'],
  [div('<svg onload="x">x</svg>'), '<svg>'],
  [div('<link rel="stylesheet" href="x"/>'), '<link>'],
  [div('<p onclick="x()">x</p>'), 'onclick'],
  [div('<img src="x" onerror="x()"/>'), 'onerror'],
  [div('<a href="javascript:x()">x</a>'), 'script'],
  [div('<a href=" JaVaScRiPt:x()">x</a>'), 'script'],
  [div('<a href="java&#115;cript:x()">x</a>'), 'script'],
  [div('<a href="java&#x0A;script&colon;x()">x</a>'), 'script'],
  [div('<p class=x>x</p>'), 'quotes'],
  [div('<p hidden>x</p>'), 'no value'],
  [div('<p class="a" class="b">x</p>'), 'twice'],
  [div('a & b'), '&amp;'],
  [div('a < b'), '&lt;'],
  [div('<![CDATA[x]]>'), '&lt;'],
  [div('<?php x ?>'), '&lt;'],
  [`<!DOCTYPE html>${div('x')}`, '&lt;'],
  ['<div xmlns="http://www.w3.org/2000/svg">x</div>', 'xmlns'],
  [div('<!-- x'), 'comment'],
])('%s is refused', (html, word) => {
  expect(narrativeFault(html)).toContain(word);
});

test('any text is judged, whatever it is, and no event handler or script passes', () => {
  const part = fc.constantFrom(
    '<p>',
    '</p>',
    '<a href="',
    '">',
    '</a>',
    '<script>',
    ' onclick="x"',
    '&',
    ';',
    '<',
    '>',
    '"',
    "'",
    'javascript:',
    'x',
    '<img src="x"/>',
    '<!--',
    '-->',
    '/',
    ' ',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const html = div(parts.join(''));
      if (narrativeFault(html) !== undefined) return;
      const tags = html.replaceAll(/<!--[^]*?-->/g, '').match(/<[^>]*>/g) ?? [];
      expect(tags.some((t) => /^<script/i.test(t) || /\son\w+\s*=\s*["']/.test(t.replaceAll(/="[^"]*"/g, '=""')))).toBe(
        false,
      );
    }),
    { numRuns: 3000 },
  );
});
