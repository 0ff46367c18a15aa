// Reaches out in every way that a page has. Each way has a host of its own, so that whoever listens can tell them apart;
// the addresses are of networks for documentation, and of services that this machine might have.
(() => {
  const at = (way) => `https://${way}.trap.example/${way}`;
  const attempt = (act) => { try { Promise.resolve(act()).catch(() => {}); } catch {} };
  const add = (tag, attributes, inside = document.body) => {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    return inside.append(element), element;
  };
  const frame = (attributes) => add('iframe', { width: 1, height: 1, ...attributes });
  const inFrame = (html) => frame({ srcdoc: html });

  // What a document embeds.
  add('img', { src: at('img') });
  add('img', { srcset: `${at('srcset')} 1x` });
  add('script', { src: at('script') });
  add('script', { src: at('module'), type: 'module' });
  add('iframe', { src: at('iframe'), width: 1, height: 1 });
  add('object', { data: at('object'), width: 1, height: 1 });
  add('embed', { src: at('embed'), type: 'text/html', width: 1, height: 1 });
  add('audio', { src: at('audio'), preload: 'auto' });
  const video = add('video', { src: at('video'), poster: at('poster'), preload: 'auto', width: 1, height: 1 });
  add('track', { src: at('track'), default: '', kind: 'captions' }, video);
  video.textTracks[0].mode = 'showing';
  video.crossOrigin = 'anonymous';
  add('input', { type: 'image', src: at('input') });
  add('div', { style: `width:1px;height:1px;background:url(${at('background')})` });
  add('style', {}).textContent = `@import url(${at('import')}); @font-face { font-family: trap; src: url(${at('font')}); }`;
  add('p', { style: 'font-family: trap' }).textContent = '.';
  add('div', {}).innerHTML = `<svg width="1" height="1"><image href="${at('svg')}" width="1" height="1"/></svg>`;
  ['stylesheet', 'icon', 'manifest', 'dns-prefetch', 'preconnect', 'prefetch', 'prerender', 'modulepreload'].forEach(
    (rel) => add('link', { rel, href: at(rel) }, document.head));
  add('link', { rel: 'preload', as: 'image', href: at('preload') }, document.head);
  const rules = { prefetch: [{ urls: [at('speculation-prefetch')] }], prerender: [{ urls: [at('speculation-prerender')] }] };
  const speculation = Object.assign(document.createElement('script'), { type: 'speculationrules', textContent: JSON.stringify(rules) });
  document.head.append(speculation);

  // What a script asks for.
  attempt(() => fetch(at('fetch')));
  attempt(() => fetch(at('fetch-post'), { method: 'POST', body: 'x', mode: 'no-cors', keepalive: true }));
  attempt(() => fetchLater(at('fetch-later'), { activateAfter: 0 }));
  attempt(() => { const xhr = new XMLHttpRequest(); xhr.open('GET', at('xhr')); xhr.send(); });
  attempt(() => navigator.sendBeacon(at('beacon'), 'x'));
  attempt(() => new EventSource(at('eventsource')));
  attempt(() => new WebSocket('wss://websocket.trap.example/'));
  attempt(() => new WebTransport('https://webtransport.trap.example:4433/'));
  attempt(() => new WebTransport('https://192.0.2.1:4433/'));
  attempt(() => import(at('dynamic-import')));
  attempt(() => new Worker(URL.createObjectURL(new Blob([`fetch('${at('worker')}'); importScripts('${at('import-scripts')}')`]))));
  attempt(() => navigator.serviceWorker.register('/reaches_out_worker.js'));
  attempt(() => navigator.credentials.get({ identity: { providers: [{ configURL: at('fedcm'), clientId: 'x' }] } }));
  attempt(() => new PaymentRequest([{ supportedMethods: at('payment') }], { total: { label: 'x', amount: { currency: 'EUR', value: '1' } } }).canMakePayment());
  attempt(() => navigator.joinAdInterestGroup({ owner: location.origin, name: 'x', biddingLogicURL: at('auction'), updateURL: at('auction') }, 60));
  attempt(() => sharedStorage.worklet.addModule(at('shared-storage')));

  // Where it leads.
  inFrame(`<meta http-equiv="refresh" content="0;url=${at('refresh')}">`);
  inFrame(`<script>location = '${at('location')}'</script>`);
  inFrame(`<form method="post" action="${at('form')}"><input name="x" value="y"></form><script>document.forms[0].submit()</script>`);
  attempt(() => open(at('window')));
  frame({ name: 'downloaded' });
  add('a', { href: at('download'), download: 'x', target: 'downloaded' }).click();
  frame({ name: 'led' });
  add('a', { href: at('link'), ping: at('ping'), target: 'led' }).click();
  ['file:///etc/hostname', 'ftp://ftp.trap.example/x', 'mailto:x@mailto.trap.example', 'ms-word:ofe|u|https://word.trap.example/x',
    'http://printer.local/', 'http://intranet/', 'chrome://version/'].forEach((address) => frame({ src: address }));

  // Addresses, other ports of this machine, and of the service itself.
  ['http://192.0.2.1/', 'https://192.0.2.2:8443/', 'https://[2001:db8::1]/', 'http://3221226243/', 'http://127.0.0.1:18081/', 'http://localhost:18081/',
    'https://[::1]:18081/', 'http://0.0.0.0:18081/', 'http://[::ffff:127.0.0.1]:18081/', 'http://127.0.0.1.nip.io:18081/', 'http://www.linkedin.com/downgraded',
    'https://www.linkedin.com:8443/x', 'https://static.licdn.com:18081/x', 'https://www.linkedin.com.:443/x', 'https://static.licdn.com./x'].forEach((address) => {
    add('img', { src: address });
    attempt(() => fetch(address, { mode: 'no-cors' }));
    attempt(() => new WebSocket(address.replace('http', 'ws')));
  });

  // WebRTC finds its own way, over UDP and TCP, by servers and by the other side's addresses.
  attempt(async () => {
    const iceServers = [
      { urls: ['stun:stun.trap.example:3478', 'stun:192.0.2.1:3478', 'stun:[2001:db8::1]:3478', 'stun:127.0.0.1:18081'] },
      { urls: ['turn:turn.trap.example:3478', 'turn:192.0.2.1:3478?transport=tcp', 'turns:turns.trap.example:5349', 'turn:127.0.0.1:18081?transport=tcp'], username: 'x', credential: 'x' },
    ];
    const [one, other] = [new RTCPeerConnection({ iceServers, iceCandidatePoolSize: 1 }), new RTCPeerConnection({ iceServers })];
    one.onicecandidate = ({ candidate }) => candidate && other.addIceCandidate(candidate).catch(() => {});
    other.onicecandidate = ({ candidate }) => candidate && one.addIceCandidate(candidate).catch(() => {});
    one.createDataChannel('x');
    await one.setLocalDescription();
    await other.setRemoteDescription(one.localDescription);
    await other.setLocalDescription();
    await one.setRemoteDescription(other.localDescription);
    const to = (kind, address, port) => ({ sdpMid: '0', candidate: `candidate:1 1 ${kind} 2122260223 ${address} ${port} typ host${kind === 'tcp' ? ' tcptype passive' : ''}` });
    [['udp', '192.0.2.3', 4444], ['tcp', '192.0.2.3', 4444], ['udp', '127.0.0.1', 18081], ['tcp', '127.0.0.1', 18081], ['udp', '00000000-0000-4000-8000-000000000000.local', 4444]]
      .forEach((way) => one.addIceCandidate(to(...way)).catch(() => {}));
  });
})();
