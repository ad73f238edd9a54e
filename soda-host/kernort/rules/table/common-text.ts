/**
 * What ordinary traffic is full of: the web's markup, scripts and headers, and frequent words.
 *
 * A window of a pattern that is also in here wakes its rule often and for nothing, so another is taken if there is one.
 */
import { gramAt } from './gram.ts'
import { GRAM_FOLD } from './layout.ts'

const MARKUP =
  '<!DOCTYPE html>\r\n<html lang="en"><head><meta charset="utf-8"><title></title><link rel="stylesheet" type="text/css" ' +
  'href="https://www."/><script type="text/javascript" src="/"></script>\r\n</head>\r\n<body>\r\n<div id="" class="">\r\n' +
  '<p class="" style="width: 100%; height: ">\r\n<a href="http://www." target="_blank" title=""></a>\r\n<span></span>' +
  '<img src="" alt="" border="0" />\n<li></li></ul>\n<td align="center" valign="top"></td></tr>\n</table>\n<br />\n' +
  '<form action="" method="post" name=""><input type="hidden" name="" value=""><button><option><h1></h2></p>\r\n</div>\r\n' +
  '</body>\r\n</html>\r\n<meta name="viewport" content="width=device-width, initial-scale=1"><iframe>&nbsp;&amp;&quot;'
const SCRIPT =
  'function() { var this.length; return false; } if (typeof window.document === "undefined") {\n    } else {\n' +
  'document.getElementById("").style.display = "none"; new Array(); new Object(); window.location.href = ""; ' +
  'true null prototype .push( .split( .replace( .indexOf( .toString( .substring( String parseInt(Math. for (var i = 0; i < ' +
  'try { } catch(e) { jQuery $(document).ready( .addEventListener( .call( .apply( module.exports require( async await const let'
const HEADERS =
  'GET /index.php?id= HTTP/1.1\r\nPOST /wp-content/ HTTP/1.1 200 OK\r\nHost: www.\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) ' +
  'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/ Safari/537.36\r\nMozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)\r\n' +
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n' +
  'Accept-Encoding: gzip, deflate\r\nReferer: http://www.\r\nCookie: session=\r\nConnection: keep-alive\r\nConnection: close\r\n' +
  'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: \r\nServer: Apache\r\nDate: \r\nSet-Cookie: ; path=/\r\n' +
  'Cache-Control: no-cache\r\nPragma: no-cache\r\nExpires: \r\nLast-Modified: \r\nTransfer-Encoding: chunked\r\nimage/jpeg image/png ' +
  'text/plain application/json application/octet-stream multipart/form-data; boundary= Upgrade-Insecure-Requests: .com/ .org/ .net/ .html .php .aspx .js .css .jpg .png'
const WORDS =
  ' the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you ' +
  'were all her she there would their we him been has when who will no more if out so up said what its about than into them ' +
  'can only other time new some could these two may first then do any like my now over such our man me even most made after ' +
  'also did many before must through years where much your way well down should because each just those people how too ' +
  'little state good very make world still see own work here between both under last never day same another know while ' +
  'information service system page search home contact user name password login index list data file download upload ' +
  'server client request response result error message number value title image content comment article archive category ' +
  'author date update version support community business company product customer account email address office group ' +
  'department institute university research network internet software computer program application development security ' +
  'method model figure array station analysis library resource session cookie event action option default example test'

/** Four bytes, folded, little-endian as in the table. */
const COMMON: ReadonlySet<number> = new Set(
  [MARKUP, SCRIPT, HEADERS, WORDS].flatMap((text) => {
    const bytes = Buffer.from(text).map((byte) => byte | GRAM_FOLD)
    return Array.from({ length: bytes.length - 3 }, (_, at) => gramAt(bytes, at, 4))
  })
)

/** @param gram - a window of four bytes, folded. */
export function isCommon(gram: number): boolean {
  return COMMON.has(gram)
}
