/**
 * Whether a narrative is well-formed XHTML within the elements and attributes that FHIR allows: invariants txt-1 and txt-2.
 * @see https://hl7.org/fhir/R4/narrative.html#xhtml
 */

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** Chapters 7 to 11 and 15 of HTML 4.0, section 4 of chapter 9, `a`, images, and local `style`. */
const ELEMENTS = words(
  'div p br span a img b i u em strong big small tt pre code kbd samp var cite dfn abbr acronym q sub sup bdo h1 h2 h3 h4 h5 h6 ' +
    'blockquote address ins del hr ul ol li dl dt dd table caption colgroup col thead tfoot tbody tr th td map area font center s strike',
);
const GENERAL = words('id class style title lang xml:lang dir xmlns accesskey tabindex');
const OF_ELEMENT: Readonly<Record<string, ReadonlySet<string>>> = {
  a: words('href name rel rev shape coords charset hreflang type'),
  img: words('src alt longdesc height width usemap ismap border align hspace vspace'),
  area: words('shape coords href nohref alt'),
  map: words('name'),
  blockquote: words('cite'),
  q: words('cite'),
  ins: words('cite datetime'),
  del: words('cite datetime'),
  table: words('summary width border frame rules cellspacing cellpadding align bgcolor'),
  col: words('span width align valign char charoff'),
  colgroup: words('span width align valign char charoff'),
  thead: words('align valign char charoff'),
  tbody: words('align valign char charoff'),
  tfoot: words('align valign char charoff'),
  tr: words('align valign char charoff bgcolor'),
  td: words('abbr axis headers scope rowspan colspan align valign char charoff width height nowrap bgcolor'),
  th: words('abbr axis headers scope rowspan colspan align valign char charoff width height nowrap bgcolor'),
  ol: words('type start compact'),
  ul: words('type compact'),
  li: words('type value'),
  dl: words('compact'),
  font: words('color face size'),
  hr: words('align noshade size width'),
  br: words('clear'),
  pre: words('width'),
  p: words('align'),
  div: words('align'),
  caption: words('align'),
};
for (const heading of ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'])
  (OF_ELEMENT as Record<string, ReadonlySet<string>>)[heading] = words('align');

const NAME = /[A-Za-z_:][\w:.-]*/y;
const ENTITY = /&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});/y;
const SPACE = /[ \t\r\n]*/y;
const ACTIVE = /^\s*(?:javascript|vbscript|data:text\/html)\s*:?/i;
const XHTML = 'http://www.w3.org/1999/xhtml';

/** What is wrong with a narrative, or undefined. One pass, no recursion, linear in the length. */
export function narrativeFault(text: string): string | undefined {
  const open: string[] = [];
  let at = 0;
  let seen = false;
  let content = false;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const entities = (part: string, from: number): string | undefined => {
    for (let i = part.indexOf('&'); i !== -1; i = part.indexOf('&', i + 1)) {
      ENTITY.lastIndex = from + i;
      if (!ENTITY.test(text)) return 'a bare & stands in it: write &amp;';
    }
    return undefined;
  };
  while (at < text.length) {
    if (text.charAt(at) !== '<') {
      let end = text.indexOf('<', at);
      if (end === -1) end = text.length;
      const part = text.slice(at, end);
      if (part.trim() !== '') {
        if (open.length === 0) return 'text stands outside of the <div>';
        content = true;
      }
      const fault = entities(part, at);
      if (fault) return fault;
      at = end;
      continue;
    }
    if (text.startsWith('<!--', at)) {
      const end = text.indexOf('-->', at + 4);
      if (end === -1) return 'a comment is not closed';
      at = end + 3;
      continue;
    }
    if (text.startsWith('</', at)) {
      at += 2;
      const name = match(NAME);
      match(SPACE);
      const expected = open.pop();
      if (name === undefined || name !== expected || text.charAt(at) !== '>')
        return `</${name ?? ''}> closes ${expected === undefined ? 'nothing' : `<${expected}>`}`;
      at++;
      continue;
    }
    at++;
    const name = match(NAME);
    if (name === undefined) return 'a < stands alone: write &lt; (processing instructions and CDATA are not allowed)';
    if (open.length === 0 && (seen || name !== 'div')) return 'it must be one <div>';
    seen = true;
    if (!ELEMENTS.has(name)) return `the element <${name}> is not allowed`;
    const attributes = new Set<string>();
    for (;;) {
      const space = match(SPACE);
      if (text.startsWith('/>', at)) {
        at += 2;
        break;
      }
      if (text.charAt(at) === '>') {
        at++;
        open.push(name);
        break;
      }
      const attribute = space === '' ? undefined : match(NAME);
      if (attribute === undefined) return `the tag <${name}> is not well-formed`;
      if (attributes.has(attribute)) return `the attribute ${attribute} is given twice on <${name}>`;
      attributes.add(attribute);
      match(SPACE);
      if (text.charAt(at) !== '=') return `the attribute ${attribute} has no value`;
      at++;
      match(SPACE);
      const quote = text.charAt(at);
      const end = quote === '"' || quote === "'" ? text.indexOf(quote, at + 1) : -1;
      if (end === -1) return `the value of the attribute ${attribute} is not in quotes`;
      const value = text.slice(at + 1, end);
      if (value.includes('<')) return `a < stands in the attribute ${attribute}: write &lt;`;
      const fault = entities(value, at + 1);
      if (fault) return fault;
      if (!GENERAL.has(attribute) && OF_ELEMENT[name]?.has(attribute) !== true && !attribute.startsWith('xmlns:')) {
        return `the attribute ${attribute} is not allowed on <${name}>`;
      }
      if (attribute === 'xmlns' && value !== XHTML) return `xmlns must be ${XHTML}`;
      if ((attribute === 'href' || attribute === 'src') && ACTIVE.test(unescaped(value)))
        return `the attribute ${attribute} holds a script`;
      at = end + 1;
    }
    if (name === 'img') content = true;
  }
  if (open.length > 0) return `<${open.at(-1) ?? ''}> is not closed`;
  if (!seen) return 'it must be one <div>';
  // txt-2
  if (!content) return 'it has neither text nor an image: say something, or leave the narrative out';
  return undefined;
}

/** Numeric character references and the white space that browsers ignore in a scheme, removed. */
const unescaped = (value: string): string =>
  value
    .replace(/&#x([0-9a-fA-F]{1,6});/g, (_, hex: string) => character(Number.parseInt(hex, 16)))
    .replace(/&#(\d{1,7});/g, (_, decimal: string) => character(Number(decimal)))
    .replace(/&colon;/g, ':')
    .replace(/&(?:Tab|NewLine);/g, '')
    .replace(/[\u0000-\u0020]/g, '');

const character = (code: number): string => (code <= 0x10ffff ? String.fromCodePoint(code) : '');

export const isNarrative = (text: string): boolean => narrativeFault(text) === undefined;
