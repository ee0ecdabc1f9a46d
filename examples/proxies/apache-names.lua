-- For Apache httpd 2.4 with mod_lua, inside of its <VirtualHost>:
--
--	LuaScope thread
--	LuaHookAccessChecker /etc/apache2/apache-names.lua refuse early
--
-- Refuses a request with a header whose name has any character but letters, digits and hyphens: X~Auth_Subject, which CGI and its
-- heirs take for X-Auth-Subject. nginx drops such a header; mod_headers has no pattern for names. An API in Go doesn't need this:
-- popauth knows these spellings.

require "apache2"

function refuse(r)
	for name in pairs(r:headers_in_table()) do
		if name:find("[^%w-]") then
			return 400
		end
	end
	return apache2.DECLINED
end
