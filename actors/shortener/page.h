/* The pages of the shortener, as string literals. */
#ifndef PAGE_H
#define PAGE_H

#define PAGE_HEAD \
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">" \
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Short links</title><style>" \
    "body{font:17px/1.5 system-ui,sans-serif;color:#1d2733;background:#f4f6f8;margin:0;display:grid;" \
    "min-height:100vh;place-items:center}" \
    "main{background:#fff;padding:2.2rem 2.6rem;border-radius:14px;box-shadow:0 6px 30px #1d273318;" \
    "width:min(34rem,86vw)}" \
    "h1{margin:0 0 .4rem;font-size:1.7rem}p{margin:.4rem 0 1.2rem}a{color:#0b63ce}" \
    "form{display:flex;gap:.6rem;flex-wrap:wrap}input{flex:1 1 14rem;font:inherit;padding:.6rem .8rem;" \
    "border:1px solid #b9c3ce;border-radius:8px;min-width:0}" \
    "button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:8px;background:#0b63ce;color:#fff;" \
    "cursor:pointer}output{display:block;margin:1.2rem 0;min-height:1.6em;overflow-wrap:anywhere}" \
    "footer{font-size:.85rem;color:#5c6b7a}</style></head><body><main>"

#define PAGE_HOME \
    "<h1>Short links</h1><p>Paste a long address and get a short one.</p>" \
    "<form><input type=\"url\" name=\"url\" required placeholder=\"https://example.org/a/long/address\" " \
    "aria-label=\"Address\"><button>Shorten</button></form><output></output>" \
    "<footer><a href=\"/report\">Report of the last week</a></footer>" \
    "<script>const form=document.forms[0],out=document.querySelector('output');" \
    "form.onsubmit=async event=>{event.preventDefault();out.textContent='...';" \
    "const reply=await fetch('/links',{method:'POST',headers:{'content-type':'application/json'}," \
    "body:JSON.stringify({url:new URL(form.url.value).href})});" \
    "const link=await reply.json().catch(()=>({error:'the service did not answer'}));out.textContent='';" \
    "if(!reply.ok){out.textContent=link.error;return}" \
    "const a=document.createElement('a');a.href='/'+link.code;a.textContent=location.origin+'/'+link.code;" \
    "out.append(a)}</script>"

#define PAGE_FOOT "</main></body></html>\n"

#endif
