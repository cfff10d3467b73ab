# Varnish before `folio serve`, with the module xkey (Debian: varnish, varnish-modules).
#
#   varnishd -f default.vcl -a :80 -s malloc,256m
#   FOLIO_CDN_PURGE_URL=http://<this machine>/ for the workers and for `folio serve`
#
# What is kept, for how long and under which tags is the server's to say, answer by answer: Surrogate-Control and
# Surrogate-Key (docs/cache.md, "At a CDN"). Nothing else is kept, and nothing is served after its life.
# Tests run this very file (tests/cdn), with their own port in `default`.
vcl 4.1;

import std;
import xkey;

backend default {
    .host = "127.0.0.1";
    .port = "8080";
}

# Who may purge: the workers. An address is the client's own here, so nothing may stand between them and this Varnish.
acl purgers {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        unset req.http.X-Purged;
        if (client.ip !~ purgers) {
            return (synth(403, "Forbidden"));
        }
        if (!req.http.Surrogate-Key) {
            return (synth(400, "Surrogate-Key is missing"));
        }
        set req.http.X-Purged = xkey.purge(req.http.Surrogate-Key);
        return (synth(200, "Purged"));
    }
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
    if (req.http.Accept ~ "text/event-stream") {
        return (pass);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Who says what the read is for must not be answered by what was kept for somebody who did not.
    if (req.http.Folio-Read == "any") {
        unset req.http.Folio-Read;
    }
    if (req.http.Folio-Read) {
        return (pass);
    }
    # Not on to the built-in rules: they keep nothing for requests with Authorization.
    return (hash);
}

sub vcl_pipe {
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
}

# An answer is for the token that it was given to. `Vary: Authorization` says so already; in the key as well, a lost
# header lets nothing through, and a thousand tokens of one address are not looked through one by one.
sub vcl_hash {
    hash_data(req.http.Authorization);
}

sub vcl_backend_response {
    # Nothing stale: not while it is fetched anew, and not while the server is away.
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    set beresp.ttl = 0s;
    if (beresp.status == 200 && !bereq.uncacheable && beresp.http.Surrogate-Key
            && beresp.http.Surrogate-Control ~ "^max-age=[0-9]{1,7}$") {
        set beresp.ttl = std.duration(regsub(beresp.http.Surrogate-Control, "^max-age=", "") + "s", 0s);
        set beresp.http.xkey = beresp.http.Surrogate-Key;
    }
    if (beresp.ttl <= 0s) {
        # Remembered as such for a moment: requests for it do not wait for each other.
        set beresp.uncacheable = true;
        set beresp.ttl = 5s;
    }
    return (deliver);
}

sub vcl_deliver {
    # For this Varnish, not for those before it.
    unset resp.http.Surrogate-Control;
    unset resp.http.Surrogate-Key;
    unset resp.http.xkey;
    if (obj.hits > 0) {
        set resp.http.X-Cache = "hit";
    } else {
        set resp.http.X-Cache = "miss";
    }
}

sub vcl_synth {
    if (req.method == "PURGE") {
        set resp.http.X-Purged = req.http.X-Purged;
        set resp.body = "";
        return (deliver);
    }
}
