-- Durations of lists by the binary digits that occur, of most segments twelve of twenty. The function of the same name that wants every
-- digit stays while processes of the previous version run.

-- The bits of `candidates` whose number is from `least_number` to `most_number`; null is open. `digits` are the numbers' binary digits as
-- bits, `places` says which digit each of them is (0 the lowest), in ascending order; a digit that is not there is 0 of all numbers.
CREATE FUNCTION bits_between(candidates bit varying, digits bit varying[], places integer[], least_number integer, most_number integer)
    RETURNS bit varying LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    nothing CONSTANT bit varying := candidates # candidates;
    same bit varying;
    larger bit varying;
    bound integer;
    digit bit varying;
    given integer;
    top CONSTANT integer := 31;
BEGIN
    IF candidates IS NULL OR (least_number IS NULL AND most_number IS NULL) THEN
        RETURN candidates;
    END IF;
    FOR turn IN 1..2 LOOP
        bound := CASE turn WHEN 1 THEN least_number ELSE most_number + 1 END;
        CONTINUE WHEN bound IS NULL;
        same := candidates;
        larger := nothing;
        -- A digit that is not there, where the bound has a 1: no number is as large, or is larger than what was compared so far.
        given := coalesce(array_length(digits, 1), 0);
        FOR place IN REVERSE top - 1..0 LOOP
            IF given > 0 AND places[given] = place THEN
                digit := digits[given];
                given := given - 1;
                IF (bound >> place) & 1 = 1 THEN
                    same := same & digit;
                ELSE
                    larger := larger | (same & digit);
                    same := same & ~digit;
                END IF;
            ELSIF (bound >> place) & 1 = 1 THEN
                same := nothing;
                EXIT;
            END IF;
        END LOOP;
        candidates := CASE turn WHEN 1 THEN larger | same ELSE candidates & ~(larger | same) END;
    END LOOP;
    RETURN candidates;
END
$$;
