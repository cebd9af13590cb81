//! The style sheet of the pages. In a window of at most 48rem, each row of a table is a block of its own, so that no page has
//! to be scrolled sideways.

pub(super) const STYLE: &str = "
*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:80rem;padding:0 1rem 2rem;color:#222;background:#fff}
h1{font-size:1.4rem;margin:1rem 0 .5rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
a{color:#00539b}a:focus-visible,summary:focus-visible,input:focus-visible,select:focus-visible,button:focus-visible,main:focus-visible\
{outline:3px solid #b45f06;outline-offset:2px}
code,pre,.mono{font-family:ui-monospace,monospace;font-size:13px;overflow-wrap:anywhere}
.skip{position:absolute;left:-100rem}.skip:focus{left:1rem;top:.3rem;background:#fff;padding:.4rem .8rem;z-index:1}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem 1.2rem;border-bottom:1px solid #ccc;padding:.8rem 0 .5rem}
header strong{font-size:1.05rem}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:0;padding:0;list-style:none}
nav a,.pages a,.pages strong,.order{display:inline-block;padding:.25rem 0}
nav a[aria-current]{font-weight:700;color:inherit;text-decoration:none;border-bottom:3px solid #b45f06}
table{border-collapse:collapse;width:100%;table-layout:auto}
caption{text-align:left;color:#595959;padding:.2rem 0}
th{text-align:left;font-size:13px;color:#595959;font-weight:600;border-bottom:2px solid #ccc;padding:.3rem .8rem .3rem 0;white-space:nowrap}
td{padding:.35rem .8rem .35rem 0;vertical-align:baseline;border-bottom:1px solid #e4e4e4;overflow-wrap:anywhere}
th:last-child,td:last-child{padding-right:0}
.num{text-align:right}.time,.short{width:1%;white-space:nowrap}.work{width:14rem}
.text{white-space:pre-wrap;font-family:ui-monospace,monospace;font-size:13px}
pre{background:#f4f4f4;padding:.6rem;margin:.3rem 0;white-space:pre-wrap}
details.more{margin:.2rem 0 0}details.more summary,.dim{color:#595959}summary{cursor:pointer}
.level{font-weight:600}
.fatal,.error{color:#b00020}.warning,.warn{color:#7a4f00}.info{color:#00539b}.debug,.trace{color:#595959}
.own td{background:#fff3cd}
.tag{display:inline-block;font-size:13px;background:#eee;border-radius:3px;padding:0 .4em;margin:0 .4em .3em 0;overflow-wrap:anywhere}
form{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:end;margin:.6rem 0 1rem}
label{display:block;font-size:13px;color:#595959}
input,select,button{font:inherit;min-height:2.2rem;padding:.2rem .5rem;max-width:100%;color:inherit;background:transparent;border:1px solid #888;border-radius:3px}
select option{color:#222;background:#fff}
.pages{display:flex;flex-wrap:wrap;gap:.2rem 1rem;align-items:baseline;margin:.4rem 0}
@media(max-width:48rem){
thead{position:absolute;left:-100rem}
tr{display:flex;flex-wrap:wrap;gap:0 .7rem;border-bottom:1px solid #ccc;padding:.45rem 0}
td,.time,.short,.work{border:0;padding:0;width:auto;white-space:normal}.num{text-align:left}
td.wide{flex:1 0 100%}nav ul{gap:.2rem .6rem}.num[data-of]::before{content:attr(data-of) ' '}
form>div{flex:1 1 9rem}form>div.grow{flex-basis:100%}input,select{width:100%}
.own{background:#fff3cd}pre{margin-left:0!important}}
@media(prefers-color-scheme:dark){body,.skip:focus{color:#ddd;background:#1b1b1f}pre,.tag{background:#2a2a30}
header,th,tr{border-color:#555}td{border-color:#3a3a40}.fatal,.error{color:#ff8d98}.warning,.warn{color:#e9b44c}.info,a{color:#8cc3f5}
.dim,caption,th,label,details.more summary,.debug,.trace{color:#a8a8a8}.own td{background:#3d3519}.own{background:#3d3519}
nav a[aria-current]{border-color:#e9b44c}\
a:focus-visible,summary:focus-visible,input:focus-visible,select:focus-visible,button:focus-visible,main:focus-visible{outline-color:#e9b44c}}";
