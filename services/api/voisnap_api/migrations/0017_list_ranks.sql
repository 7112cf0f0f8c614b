-- The duration in whole seconds at a rank of a list sorted by duration, longest first and counted from 0, how many are longer and how many as long: read off
-- the binary digits of the durations, the highest first, of the segments and of the durations `beside` them that are in no clean segment.
CREATE FUNCTION seconds_of_rank(of_tenant text, of_environment text, wanted text[], digits text[], in_segments bigint[], beside integer[],
                                least_number integer, most_number integer, rank bigint, OUT seconds integer, OUT longer bigint, OUT as_long bigint)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    segments bigint[];
    found bit varying[];
    digit bit varying[];
    have bigint;
BEGIN
    seconds := 0;
    longer := 0;
    SELECT array_agg(f.segment ORDER BY f.segment),
           array_agg(bits_between(f.bits, f.digits, f.places, least_number, most_number) ORDER BY f.segment)
      INTO segments, found
      FROM (SELECT b.segment,
                   bit_and(b.bits) FILTER (WHERE b.facet = ANY (wanted)) AS bits,
                   count(*) FILTER (WHERE b.facet = ANY (wanted)) AS facets,
                   array_agg(b.bits ORDER BY b.facet) FILTER (WHERE b.facet = ANY (digits)) AS digits,
                   array_agg(right(b.facet, 2)::integer ORDER BY b.facet) FILTER (WHERE b.facet = ANY (digits)) AS places
              FROM conversation_bits b
             WHERE b.tenant_id = of_tenant AND b.environment = of_environment AND b.segment = ANY (in_segments)
               AND b.facet = ANY (CASE WHEN least_number IS NULL AND most_number IS NULL THEN wanted ELSE wanted || digits END)
             GROUP BY b.segment) AS f
     WHERE f.facets = cardinality(wanted);
    FOR place IN REVERSE cardinality(digits) - 1..0 LOOP
        SELECT array_agg(b.bits ORDER BY s.nth)
          INTO digit
          FROM unnest(segments) WITH ORDINALITY AS s (segment, nth)
          LEFT JOIN conversation_bits b ON b.tenant_id = of_tenant AND b.environment = of_environment
                                       AND b.facet = digits[place + 1] AND b.segment = s.segment;
        have := (SELECT count(*) FROM unnest(beside) AS one WHERE (one >> place) & 1 = 1);
        FOR nth IN 1..coalesce(cardinality(segments), 0) LOOP
            IF digit[nth] IS NOT NULL THEN
                have := have + bit_count(found[nth] & digit[nth]);
            END IF;
        END LOOP;
        IF rank - longer < have THEN
            seconds := seconds | (1 << place);
            beside := ARRAY(SELECT one FROM unnest(beside) AS one WHERE (one >> place) & 1 = 1);
            FOR nth IN 1..coalesce(cardinality(segments), 0) LOOP
                found[nth] := CASE WHEN digit[nth] IS NULL THEN found[nth] # found[nth] ELSE found[nth] & digit[nth] END;
            END LOOP;
        ELSE
            longer := longer + have;
            beside := ARRAY(SELECT one FROM unnest(beside) AS one WHERE (one >> place) & 1 = 0);
            FOR nth IN 1..coalesce(cardinality(segments), 0) LOOP
                IF digit[nth] IS NOT NULL THEN
                    found[nth] := found[nth] & ~digit[nth];
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    as_long := cardinality(beside);
    FOR nth IN 1..coalesce(cardinality(segments), 0) LOOP
        as_long := as_long + bit_count(found[nth]);
    END LOOP;
END
$$;

-- As before, with one operation on bits less a digit.
CREATE OR REPLACE FUNCTION bits_between(candidates bit varying, digits bit varying[], places integer[], least_number integer, most_number integer)
    RETURNS bit varying LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    nothing CONSTANT bit varying := candidates # candidates;
    same bit varying;
    larger bit varying;
    bound integer;
    shared bit varying;
    given integer;
BEGIN
    IF candidates IS NULL OR (least_number IS NULL AND most_number IS NULL) THEN
        RETURN candidates;
    END IF;
    FOR turn IN 1..2 LOOP
        bound := CASE turn WHEN 1 THEN least_number ELSE most_number + 1 END;
        CONTINUE WHEN bound IS NULL;
        same := candidates;
        larger := nothing;
        given := coalesce(array_length(digits, 1), 0);
        FOR place IN REVERSE 30..0 LOOP
            IF given > 0 AND places[given] = place THEN
                shared := same & digits[given];
                given := given - 1;
                IF (bound >> place) & 1 = 1 THEN
                    same := shared;
                ELSE
                    larger := larger | shared;
                    same := same # shared;
                END IF;
            ELSIF (bound >> place) & 1 = 1 THEN
                same := nothing;
                EXIT;
            END IF;
            EXIT WHEN bound & ((1 << place) - 1) = 0;  -- what is the same so far is at least as large
        END LOOP;
        candidates := CASE turn WHEN 1 THEN larger | same ELSE candidates # (larger | same) END;
    END LOOP;
    RETURN candidates;
END
$$;
